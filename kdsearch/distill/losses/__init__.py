"""The core's loss terms, one file a family.

Every term computes in float32, sums over its own units (tokens, examples) and divides by the count
of these units in the whole accumulation window, so that it is the same however a batch is split.
"""

from kdsearch.distill.losses.answer import AnswerCe
from kdsearch.distill.losses.choice_scores import ChoiceScores
from kdsearch.distill.losses.hidden import HiddenMse
from kdsearch.distill.losses.rationale import Rationale
from kdsearch.distill.losses.relations import AttentionRelations
from kdsearch.distill.losses.shortcuts import AntiShortcut
from kdsearch.distill.losses.soft_labels import SoftLabels
from kdsearch.distill.losses.uld import Uld

__all__ = [
    "AnswerCe",
    "AntiShortcut",
    "AttentionRelations",
    "ChoiceScores",
    "HiddenMse",
    "Rationale",
    "SoftLabels",
    "Uld",
]

"""Everything that a plugin author imports."""

from kdsearch.facts import ModelFacts
from kdsearch.plugin.api import (
    API,
    Answer,
    Domain,
    Example,
    Ladder,
    Loss,
    LossInputs,
    Options,
    Prediction,
    Prompt,
    Scores,
    Shapes,
    Signal,
    Size,
    Student,
    TopLogits,
    Use,
    ViewInputs,
)
from kdsearch.plugin.choices import ChoiceOptions, LabelOptions
from kdsearch.plugin.domains import ChoiceDomain, LabelDomain, NumberDomain, TextDomain
from kdsearch.plugin.hookspecs import hookimpl
from kdsearch.plugin.layers import LayerPair, layer_pairs
from kdsearch.plugin.named import NamedLoss
from kdsearch.plugin.preparing import Preparation, Prepared, PreparedLadder
from kdsearch.plugin.reading import DataOptions, Row
from kdsearch.plugin.signals import LayerSignal, SignalRequest
from kdsearch.plugin.views import View

__all__ = [
    "API",
    "Answer",
    "ChoiceDomain",
    "ChoiceOptions",
    "DataOptions",
    "Domain",
    "Example",
    "LabelDomain",
    "LabelOptions",
    "Ladder",
    "LayerPair",
    "LayerSignal",
    "Loss",
    "LossInputs",
    "ModelFacts",
    "NamedLoss",
    "NumberDomain",
    "Options",
    "Prediction",
    "Preparation",
    "Prepared",
    "PreparedLadder",
    "Prompt",
    "Row",
    "Scores",
    "Shapes",
    "Signal",
    "SignalRequest",
    "Size",
    "Student",
    "TextDomain",
    "TopLogits",
    "Use",
    "View",
    "ViewInputs",
    "hookimpl",
    "layer_pairs",
]

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
)
from kdsearch.plugin.hookspecs import hookimpl
from kdsearch.plugin.signals import LayerSignal, SignalRequest

__all__ = [
    "API",
    "Answer",
    "Domain",
    "Example",
    "Ladder",
    "LayerSignal",
    "Loss",
    "LossInputs",
    "ModelFacts",
    "Options",
    "Prediction",
    "Prompt",
    "Scores",
    "Shapes",
    "Signal",
    "SignalRequest",
    "Size",
    "Student",
    "TopLogits",
    "Use",
    "hookimpl",
]

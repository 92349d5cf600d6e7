"""Checks what a plugin offers against its contract, attribute by attribute.

An attribute may be a property that raises, a name no text: what passes here can be listed, looked
up by name and shown without a fault.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

from pydantic import BaseModel

from kdsearch.plugin.api import Answer, Signal, Use
from kdsearch.plugin.faults import Isolated, is_interruption, raised, shown

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
"""What domains, losses and ladders may be called: names stand in specs, paths and tables."""


def offer_fault(contract: type, item: Any) -> str | None:
    """Return what is wrong with an item that a plugin offers; None if it can be used.

    Args:
        contract: `Domain`, `Loss` or `Ladder`.
        item: What was offered as one.
    """
    values, missing = dict[str, Any](), list[str]()
    for name in sorted(_members(contract)):
        try:
            values[name] = getattr(item, name)
        except AttributeError:
            missing.append(name)
        except BaseException as error:  # a property may do anything
            if is_interruption(error):
                raise
            return f"its {name} raised {raised(error)}"
    if missing:
        return f"it lacks {', '.join(missing)}"
    for name in OPTIONAL:
        faults = list[str]()
        with Isolated(faults.append, f"its {name} raised"):
            hasattr(item, name)
        if faults:
            return faults[0]
    for name, value in values.items():
        meaning, suits = EXPECTED.get(name, ("a method", callable))
        if not _suits(suits, value):
            return f"its {name} is {shown(value)}, and {meaning} was expected"
    return None


def _suits(check: Callable[[Any], bool], value: Any) -> bool:
    """Whether a value passes a check; one that cannot be looked at does not."""
    try:
        return bool(check(value))
    except BaseException as error:  # its methods may do anything
        if is_interruption(error):
            raise
        return False


def _members(contract: type) -> set[str]:
    """Return the attributes and methods that a protocol asks for."""
    methods = {name for name in vars(contract) if not name.startswith("_")}
    return methods | {name for name in contract.__annotations__ if not name.startswith("_")}


def _is_name(value: Any) -> bool:
    return type(value) is str and NAME.fullmatch(value) is not None


def _is_model(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseModel)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(type(each) is str for each in value)


def _are_signals(value: Any) -> bool:
    return isinstance(value, Collection) and all(map(Signal, value))


OPTIONAL = (
    "classes",
    "generated",
    "needs_model",
    "prepare",
    "scoring",
    "tokenizer",
    "with_options",
)
"""Attributes that kdsearch asks for where they are."""

EXPECTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("a text of letters, digits, '_', '-' and '.'", _is_name),
    "version": ("a text", lambda value: type(value) in (str, int)),
    "Options": ("a class derived from kdsearch.plugin.Options", _is_model),
    "Config": ("a class derived from kdsearch.plugin.Options", _is_model),
    "answer": (f"one of {', '.join(Answer)}", lambda value: Answer(value) == value),
    "use": (f"one of {', '.join(Use)}", lambda value: Use(value) == value),
    "metrics": ("a tuple of names", lambda value: _are_texts(value) and len(value) > 0),
    "aggregates": ("a tuple of names", _are_texts),
    "max_new_tokens": ("a whole number from 1", lambda value: type(value) is int and value > 0),
    "stop": ("a tuple of texts", _are_texts),
    "needs": (f"a set of signals ({', '.join(Signal)})", _are_signals),
}
"""By attribute: what is expected, in words and as a check; everything else is a method."""

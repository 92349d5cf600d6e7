"""Sizes that confirm tests again, once items were added."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from kdsearch.search.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kdsearch.events import ConfirmOpened, ConfirmTested


class Retest(NamedTuple):
    """A test that is due, on all items so far."""

    position: int
    """Of the size."""
    alpha: float
    """What it may spend of the chance of a false match."""
    look: int


class Retests:
    """The tests that were made, and those that a later look asks for.

    Args:
        names: Of the sizes, by position.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self._known: list[ConfirmTested] = []
        self._tests: list[ConfirmTested] = []
        self._waiting: list[Retest] = []
        self.voided = ""
        """Says why what was added decides nothing, where it does not."""

    @property
    def due(self) -> Retest | None:
        """The test that is next, if items were added."""
        return self._waiting[0] if self._waiting else None

    def open(self, event: ConfirmOpened) -> None:
        """Ask for the tests of a later look."""
        pairs = zip(event.sizes, event.alphas, strict=True)
        self._waiting = [Retest(self.names.index(size), alpha, event.look) for size, alpha in pairs]

    def after(self, test: ConfirmTested) -> str:
        """Take in a test, of any look, and say what follows; a match ends a later look."""
        self._tests.append(test)
        matched = test.verdict == Verdict.MATCH
        self._waiting = [] if matched else self._waiting[1:]
        if (retest := self.due) is None:
            return "the search is over"
        return f"next {self.names[retest.position]}"

    def remember(self, tests: Sequence[ConfirmTested]) -> None:
        """Take in what was tested before the run was extended."""
        self._known = list(tests)

    def void(self, reason: str) -> None:
        """Drop the tests that are due: what was added cannot be trusted."""
        self._waiting = []
        self.voided = f" What was added decides nothing. {reason}"

    def tests_of(self, size: str) -> list[ConfirmTested]:
        """Return the tests of a size so far, the first one first."""
        new = (test for test in self._tests if test not in self._known)
        return [test for test in (*self._known, *new) if test.size == size]

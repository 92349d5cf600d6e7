"""What one run enters into its user's ledger of confirm items."""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import sha256
from itertools import takewhile
from typing import TYPE_CHECKING

from kdsearch.events import ConfirmOpened, ConfirmTested, TrialFinished, TrialRepaired
from kdsearch.search.rules import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from kdsearch.search.journal import Journal
    from kdsearch.search.ledger import ConfirmLedger


@dataclass(frozen=True)
class RunOpenings:
    """A run's openings of confirm, in the order of its journal."""

    ledger: ConfirmLedger
    journal: Journal
    id: str
    """Of the run, wherever its folder is moved to."""
    folder: str
    """For people to read."""
    items: Collection[bytes]
    """Those of the next opening, by `ledger.item_keys`."""
    alpha: float
    """The whole chance of a false match."""
    reserve: float
    """The share of what is left that stays for later openings."""
    family: str | None
    """Runs that share the chance of a false match."""

    def spend(self) -> float:
        """Enter the opening that is next and return what it may spend.

        The same results opened on the same items are the same opening, so that a run that was
        killed spends once; a copy of the run that was trained otherwise is another one.
        """
        name = f"{self.id}:{len(self._places()) + 1}:{self._evidence()}"
        shared = self.alpha, self.reserve, self.family
        return self.ledger.open(name, self.folder, self.items, *shared)

    def settle(self) -> None:
        """Hand back what was not spent on tests that ended without a match."""
        events = [record.event for record in self.journal.records]
        tests = [event for event in events if isinstance(event, ConfirmTested)]
        matched = {
            (test.size, test.trial)
            for test in tests
            if test.verdict == Verdict.MATCH and not test.exploratory
        }
        for number, place in enumerate(self._places(), start=1):
            own = takewhile(lambda each: not isinstance(each, ConfirmOpened), events[place + 1 :])
            made = [test for test in own if isinstance(test, ConfirmTested)]
            lost = [test for test in made if (test.size, test.trial) not in matched]
            spent = math.fsum(test.alpha or 0.0 for test in lost)
            self.ledger.settle(f"{self.id}:{number}:", self.folder, spent)

    def _evidence(self) -> str:
        """Return a hash of all that is to be tested: items, and what came before them."""
        found = sha256(b"".join(sorted(self.items)))
        for event in (record.event for record in self.journal.records):
            if isinstance(event, TrialFinished | TrialRepaired) and event.files:
                found.update(repr(sorted(event.files.items())).encode())
            if isinstance(event, TrialFinished | ConfirmTested):
                score = event.score if isinstance(event, TrialFinished) else event.student_score
                counts = event.student_only, event.teacher_only, event.items
                found.update(repr((event.trial, score, counts)).encode())
        return found.hexdigest()[:16]

    def _places(self) -> list[int]:
        """Return where in the journal confirm was opened."""
        records = enumerate(self.journal.records)
        return [place for place, record in records if isinstance(record.event, ConfirmOpened)]

"""The contract of a ladder: what keeps it passes, what breaks it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch

from kdsearch.plugin.host import Host
from kdsearch.testing import LadderContract

if TYPE_CHECKING:
    from pathlib import Path

HOST = Host()


class TestDepth(LadderContract):
    ladder = HOST.ladder("depth")

    options: ClassVar = {"layers": [1, 2]}


class TestPrune(LadderContract):
    ladder = HOST.ladder("prune")

    options: ClassVar = {"sizes": {"half": {"layers": 1, "d_ff": 0.5}}, "vocabulary": "domain"}


class Depths:
    """The depth ladder with one fault."""

    name = "depths"

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.Config = HOST.ladder("depth").Config
        self.builds = 0

    def sizes(self, config: Any, teacher: Any) -> list[Any]:
        found = HOST.ladder("depth").sizes(config, teacher)
        if self.fault == "one name":
            return [found[0], found[0]]
        if self.fault == "miscounted":
            found[0] = type(found[0])(**{**vars(found[0]), "parameters": 7})
        return found

    def build(self, size: Any, config: Any, teacher: Any, seed: int) -> Any:
        student = HOST.ladder("depth").build(size, config, teacher, seed)
        self.builds += 1
        if self.fault == "another each time":
            with torch.no_grad():
                next(student.model.parameters()).add_(0.01 * self.builds)
        return student


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("one name", "two sizes have one name"),
        ("miscounted", "parameters built"),
        ("another each time", "the same seed builds another student"),
    ],
)
def test_a_broken_ladder_is_told(fault: str, told: str, tmp_path: Path) -> None:
    contract = TestDepth()
    contract.ladder = Depths(fault)
    contract.families = ("t5",)
    checks = {
        "one name": contract.test_sizes_differ,
        "miscounted": contract.test_parameters_are_counted_exactly,
        "another each time": contract.test_a_student_is_made_again_and_loads_as_it_was_saved,
    }
    with pytest.raises(AssertionError, match=told):
        checks[fault](tmp_path)

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.audit import audit
from benchmarks.audit_figures import by_likelihood
from kdsearch.stats.paired import retain_test

RECORDED = Path(__file__).parents[2] / "benchmarks" / "recorded"


@pytest.mark.parametrize("run", sorted(RECORDED.iterdir()), ids=lambda run: run.name)
def test_recorded_verdicts_follow_from_the_answers(run: Path) -> None:
    faults, tested = audit(run)
    assert faults == []
    assert tested > 0


def change(run: Path, name: str, **fields: Any) -> None:
    """Change fields of the first event of a name."""
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
    next(event for event in events if event["event"] == name).update(fields)
    (run / "journal.jsonl").write_text("\n".join(map(json.dumps, events)) + "\n")


@pytest.mark.parametrize(
    ("name", "fields", "fault"),
    [
        ("confirm_tested", {"verdict": "undecided"}, "the verdict is undecided, not match"),
        ("confirm_tested", {"lower_bound": 0.0}, "lower_bound is 0.0 and should be -0.0"),
        ("confirm_opened", {"alphas": [0.05, 0.05]}, "alphas are"),
        ("confirm_opened", {"sizes": ["73k"], "alphas": [0.05]}, "was not declared"),
        ("trial_finished", {"teacher_only": 0}, "on dev and answered"),
    ],
)
def test_what_does_not_follow_is_found(
    tmp_path: Path, name: str, fields: dict[str, Any], fault: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(RECORDED / "quickstart", run)
    change(run, name, **fields)
    assert any(fault in found for found in audit(run)[0])


counts = st.tuples(*[st.integers(0, 300)] * 4).filter(lambda drawn: sum(drawn) > 10)


@given(counts, st.sampled_from([1.0, 0.97, 0.8]))
def test_both_codes_agree_on_any_counts(counts: tuple[int, ...], retain: float) -> None:
    both, student_only, teacher_only = counts[:3]
    ours = retain_test(both, student_only, teacher_only, sum(counts), retain, 0.975)
    theirs = by_likelihood([1.0 - retain, 1.0, -retain, 0.0], list(counts), 0.0, 0.025)
    assert theirs["p_value"] == pytest.approx(ours.p_value, abs=1e-6)
    assert theirs["lower_bound"] == pytest.approx(ours.lower_bound, abs=1e-6)
    assert theirs["upper_bound"] == pytest.approx(ours.upper_bound, abs=1e-6)

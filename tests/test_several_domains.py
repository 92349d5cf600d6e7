"""Searches over several domains: a student matches if it matches on each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.audit import audit
from kdsearch.errors import SpecError
from kdsearch.events import ConfirmTested, TeacherReady, TrialFinished
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.plugin import Answer, Example, Prediction
from kdsearch.plugin.union import Member, Union, UnionOptions, labelled
from kdsearch.run import run
from kdsearch.search.confirm import Level, Scores, judge_on_confirm, judge_on_domains
from kdsearch.search.evidence import Answers, weigh
from kdsearch.search.journal import read
from kdsearch.search.rules import Rules, Verdict
from kdsearch.search.several import figures_by_domain, places_by_domain
from kdsearch.spec.loading import load_spec, write_spec
from kdsearch.splits import load
from kdsearch.stats.intervals import aggregate_intervals

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host

RULES = Rules(margin=0.05, dev_items=400, confirm_items=400)
TWO = "domains=[{name: toy}, {name: toy, label: other, options: {largest: 12}}]"
SHORT = (
    "teachers.0.fine_tune.max_steps=3",
    "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "train={learning_rate: 1e-3, max_steps: 3}",
    "losses.soft_labels={weight: 1.0}",
    "search={configurations_per_size: 1, strategy: descend}",
    "match={metric: accuracy, margin: 0.9}",
    "splits={dev: 40, confirm: 60}",
)


def spec_of(toy_spec: Path, host: Host, tmp_path: Path, *overrides: str) -> Any:
    """Load the toy spec with two domains in the place of its own."""
    file = tmp_path / "two.yaml"
    text = toy_spec.read_text(encoding="utf8")
    file.write_text(text.replace("domain: {name: toy}\n", ""), encoding="utf8")
    return load_spec(file, host, [TWO, *SHORT, *overrides])


def answered(ahead: int, behind: int, items: int = 400, score: float = 0.8) -> dict[str, Any]:
    return {"score": score, "student_only": ahead, "teacher_only": behind, "items": items}


def test_the_domain_furthest_from_passing_speaks_for_all() -> None:
    good, bad = answered(20, 20), answered(10, 60)
    both = {"good": good, "bad": bad}
    whole = Answers(0.8, 30, 80, 800, domains=both)
    assert weigh(whole, RULES) == weigh(Answers(0.8, 10, 60, 400), RULES)
    assert not weigh(whole, RULES).passes
    assert weigh(Answers(0.8, 40, 40, 800, domains={"a": good, "b": good}), RULES).passes


def test_one_domain_below_the_bar_is_enough() -> None:
    hopeless = answered(0, 200)
    noisy = answered(60, 80, 100)
    evidence = weigh(Answers(0.5, 60, 280, 500, domains={"a": hopeless, "b": noisy}), RULES)
    assert evidence.below


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=40, max_size=80))
def test_a_size_matches_where_it_matches_on_each(answers: list[tuple[bool, bool, bool]]) -> None:
    items = [f"{'ab'[first]}:{place}" for place, (first, _, _) in enumerate(answers)]
    places = places_by_domain(items)
    scores = Scores([[float(s) for _, s, _ in answers]], [float(t) for _, _, t in answers])
    event = judge_on_domains("x", "t", scores, RULES, Level(0.05), {}, places)
    alone = {
        label: judge_on_confirm("x", "t", scores.at(own), RULES, Level(0.05), {})
        for label, own in places.items()
    }
    verdicts = {each.verdict for each in alone.values()}
    assert (event.verdict == Verdict.MATCH) == (verdicts == {Verdict.MATCH})
    assert (event.verdict == Verdict.NO_MATCH) == (Verdict.NO_MATCH in verdicts)
    assert event.worst is not None
    assert event.difference == alone[event.worst].difference
    assert event.items == len(answers)
    if event.verdict != Verdict.NO_MATCH:
        assert event.p_value == max(each.p_value for each in alone.values())


def test_figures_are_of_each_domains_items() -> None:
    items = ["a:1", "b:1", "a:2", "b:2"]
    found = figures_by_domain(items, [1, 0, 1, 1], [1, 1, 0, 1], None, {})
    assert found["a"] == {"score": 1.0, "student_only": 1, "teacher_only": 0, "items": 2}
    assert found["b"] == {"score": 0.5, "student_only": 0, "teacher_only": 1, "items": 2}
    units = {"a:1": "u", "a:2": "u", "b:1": "b:1", "b:2": "b:2"}
    found = figures_by_domain(items, [1, 0, 1, 1], [1, 1, 0, 1], None, units)
    assert found["a"]["paired"]["items"] == 1
    assert "paired" not in found["b"]


def test_each_domain_is_divided_as_if_it_were_alone(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    spec = spec_of(toy_spec, toy_host, tmp_path)
    plan = make_plan(spec, toy_host)
    whole = load(plan.parts.domain, plan.parts.options).divide(spec.stage.splits, 0)
    alone = load(toy_host.domain("toy"), toy_host.domain("toy").Options())
    toys = [example.id for example in whole.splits.confirm if example.id.startswith("toy:")]
    expected = alone.divide(spec.stage.splits, 0).splits.confirm
    assert toys == [f"toy:{example.id}" for example in expected]
    assert (plan.units.confirm, plan.counts.confirm) == (60, 120)
    held = {example.question for example in (*whole.splits.dev, *whole.splits.confirm)}
    assert not held & {example.question for example in whole.splits.train}
    assert whole.tally.leaked > 0  # both ask the same sums


def test_a_run_over_two_domains(toy_spec: Path, toy_host: Host, tmp_path: Path) -> None:
    spec = spec_of(toy_spec, toy_host, tmp_path)
    summary = run(spec, toy_host, tmp_path / "run", run_locally, force=True)
    events = [record.event for record in read(tmp_path / "run" / "journal.jsonl")]
    ready = next(event for event in events if isinstance(event, TeacherReady))
    finished = [event for event in events if isinstance(event, TrialFinished)]
    (tested,) = (event for event in events if isinstance(event, ConfirmTested))
    for told in (ready.domains, finished[0].domains, tested.domains):
        assert list(told) == ["toy", "other"]
    counts = [each["items"] for each in finished[0].domains.values()]
    assert sum(counts) == finished[0].items
    assert summary["selected"]["size"] == "small"
    assert list(summary["sizes"][0]["confirm"]["domains"]) == ["toy", "other"]
    assert f"on 60 confirm items of {tested.worst}" in summary["sentence"]
    assert audit(tmp_path / "run") == ([], 1)
    card = (tmp_path / "run" / "students" / "small" / "README.md").read_text(encoding="utf8")
    assert "| student on other |" in card
    assert "below the teacher's on each domain" in card


def test_a_spec_with_several_domains_is_written_and_read_back(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    spec = spec_of(toy_spec, toy_host, tmp_path)
    assert spec.stage.domain.name == "toy+other"
    file = tmp_path / "again.yaml"
    file.write_text(write_spec(spec), encoding="utf8")
    assert load_spec(file, toy_host) == spec


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ("domains=[{name: toy}]", "domains are two or more"),
        ("domains=[{name: toy}, {name: toy}]", "two domains are called 'toy'"),
        ("domains=[{name: toy}, {name: tyo}]", "unknown domain 'tyo': did you mean 'toy'"),
        ("domains=[{name: toy}, {name: toy, label: b, options: {largest: 0}}]", "largest"),
        ("search.futility=true", "no forecast is made for several domains"),
    ],
)
def test_faulty_domains_are_refused(
    domains: str, message: str, toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=message):
        spec_of(toy_spec, toy_host, tmp_path, domains)


def test_domain_and_domains_exclude_each_other(toy_spec: Path, toy_host: Host) -> None:
    with pytest.raises(SpecError, match="give domain or domains, not both"):
        load_spec(toy_spec, toy_host, [TWO])


def test_members_must_be_answered_in_one_way(toy_host: Host) -> None:
    class Options(type(toy_host.domain("toy"))):  # type: ignore[misc]  # a class made at run time
        answer = Answer.CHOICE

    members = [Member("a", toy_host.domain("toy"), None), Member("b", Options(), None)]
    with pytest.raises(SpecError, match="a asks for a text, b asks for a choice"):
        Union(tuple(members))


def test_a_union_asks_and_judges_by_its_members(toy_host: Host) -> None:
    toy = toy_host.domain("toy")
    union = Union((Member("a", toy, toy.Options()), Member("b", toy, toy.Options())))
    examples = list(union.load(UnionOptions()))
    assert {example.group for example in examples} == {"a/add", "b/add"}
    example = Example("b:1+1", "1 + 1 =", "2", group="b/add")
    assert union.format(example, None) == toy.format(Example("1+1", "1 + 1 =", "2"), None)
    assert union.tokenizer is None
    assert union.aggregates == ("a:macro_f1", "b:macro_f1")


def test_figures_of_each_domain_have_the_intervals_of_its_own_items(toy_host: Host) -> None:
    toy = toy_host.domain("toy")
    union = Union((Member("a", toy, toy.Options()), Member("b", toy, toy.Options())))
    alone = [Example(f"{n}+1", f"{n} + 1 =", str(n + 1)) for n in range(9)]
    said = [Prediction(example.id, "1" if n % 2 else "2") for n, example in enumerate(alone)]
    single = labelled(Example("8+8", "8 + 8 =", "16"), "b")  # most resamples of all would miss it
    whole = [*(labelled(example, "a") for example in alone), single]
    answers = [*(replace(each, id=f"a:{each.id}") for each in said), Prediction("b:8+8", "16")]
    found = aggregate_intervals(union, answers, whole, 0.95)
    assert found["a:macro_f1"] == aggregate_intervals(toy, said, alone, 0.95)["macro_f1"]
    assert set(found) == {"a:macro_f1", "b:macro_f1"}

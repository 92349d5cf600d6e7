from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdsearch.errors import DataError, KdsearchError, ModelError, PluginError, SpecError
from kdsearch.facts import BYTE_VOCABULARY
from kdsearch.plan import Plan, make_plan
from kdsearch.plan.paths import absolute_paths
from kdsearch.plugin import Size
from kdsearch.plugin.host import Host
from kdsearch.spec.loading import load_spec, resolve_parts
from kdsearch.splits import divide

LONGEST = 16 + 4
"""Tokens of the toy's longest prompt and answer."""


class Planner:
    """Plans the toy spec with overrides."""

    def __init__(self, spec: Path, host: Host) -> None:
        self.spec = spec
        self.host = host

    def __call__(self, *overrides: str) -> Plan:
        return make_plan(load_spec(self.spec, self.host, overrides), self.host)


@pytest.fixture
def plan(toy_spec: Path, toy_host: Host) -> Planner:
    return Planner(toy_spec, toy_host)


def test_sizes_ascend_with_exact_counts(plan: Planner) -> None:
    sizes = plan().sizes
    assert [size.name for size in sizes] == ["tiny", "small", "medium"]
    assert [size.parameters for size in sizes] == sorted(size.parameters for size in sizes)
    assert sizes[0].embedding_parameters == BYTE_VOCABULARY * 8


def test_equal_sizes_go_by_name(plan: Planner) -> None:
    measures = "{d_model: 8, d_ff: 16, layers: 1, heads: 2}"
    names = plan(f"ladder.sizes={{b: {measures}, a: {measures}}}").sizes
    assert [size.name for size in names] == ["a", "b"]


def test_a_ladder_of_one_size_is_planned(plan: Planner) -> None:
    one = plan("ladder.sizes={only: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}")
    assert one.expected.sizes == 1.0


def test_a_trial_costs_six_operations_a_parameter_and_token(plan: Planner) -> None:
    planned = plan("train.gradient_accumulation=2")
    size = planned.sizes[0]
    assert planned.trial_flops(size) == 6 * size.parameters * (16 * 2 * 20) * LONGEST


def test_an_untied_look_up_costs_nothing() -> None:
    assert Size("x", 100, 30, {}, head_tied=False).compute_parameters == 70
    assert Size("x", 100, 30, {}).compute_parameters == 100


def test_the_grid_is_every_configuration_and_baseline_of_every_size(plan: Planner) -> None:
    planned = plan("train.max_steps={grid: [10, 40]}", "search.configurations_per_size=2")
    steps = [10, 10, 40]  # the baseline trains as configuration 0 does
    parameters = sum(size.parameters for size in planned.sizes)
    assert planned.grid_flops == pytest.approx(6 * parameters * 16 * sum(steps) * LONGEST)
    assert planned.to_json()["trials"] == 9
    assert planned.to_json()["steps"] == 3 * sum(steps)


def test_the_teacher_costs_its_tuning_and_one_pass_for_signals(plan: Planner) -> None:
    planned = plan()
    assert planned.counts.train is not None
    tuning, signals = 6 * (16 * 20), 2 * planned.counts.train
    assert planned.teacher_flops == planned.teacher.parameters * LONGEST * (tuning + signals)
    alone = plan("losses={answer_ce: {}}", "search.configurations_per_size=1")
    assert alone.teacher_flops == planned.teacher.parameters * LONGEST * tuning


def test_signals_are_counted_at_the_longest_prompt_and_answer(plan: Planner) -> None:
    signals = plan().signals
    assert signals is not None
    assert (signals.names, signals.mode) == (("top_logits",), "cached")
    assert signals.bytes_a_row == 4 * 4 * BYTE_VOCABULARY  # four target tokens in float32
    assert signals.most_bytes == 109 * signals.bytes_a_row
    kept = plan("cache.top_k=16", "losses.soft_labels.temperature=2").signals
    assert kept is not None
    assert kept.bytes_a_row == 4 * (16 * (2 + 2) + 4)


@pytest.mark.parametrize(
    ("setting", "mode"), [("mode=online", "online"), ("max_bytes=1", "auto"), ("top_k=4", "cached")]
)
def test_the_mode_of_signals_is_planned(plan: Planner, setting: str, mode: str) -> None:
    signals = plan(f"cache.{setting}").to_json()["signals"]
    assert signals["mode"] == mode


def test_answers_alone_need_no_signals(plan: Planner) -> None:
    assert plan("losses={answer_ce: {}}").to_json()["signals"] is None


def test_bisection_is_expected_to_cost_less_than_the_grid(plan: Planner) -> None:
    cost = plan("search.strategy=bisect").to_json()["cost"]
    assert 0 < cost["expected_flops"] < cost["exhaustive_grid_flops"]
    assert cost["expected_share_of_grid"] < 0.7
    assert 1 < cost["expected_sizes_visited"] < 3


def test_rules_are_those_of_the_spec(plan: Planner) -> None:
    rules = plan("match={metric: accuracy, retain: 0.9}", "search.seed=5").rules(force=True)
    assert (rules.margin, rules.retain, rules.force, rules.seed) == (None, 0.9, True, 5)
    assert (rules.dev_items, rules.confirm_items, rules.configurations) == (60, 120, 2)


def test_given_splits_are_counted(plan: Planner, toy_host: Host) -> None:
    planned = plan()
    examples = planned.parts.domain.load(planned.parts.options)
    splits = divide(examples, planned.spec.stage.splits, planned.spec.search.seed)
    assert make_plan(planned.spec, toy_host, splits).counts == planned.counts
    assert planned.to_json()["data"] == {**splits.tally.to_json(), "loaded": 289}
    assert planned.counts == (109, 60, 120)


def test_supported_margins_are_those_of_the_literature(plan: Planner) -> None:
    margins = plan("match={metric: accuracy, margin: 0.1, reserve: 0}").supported_margins(254)
    assert margins is not None
    assert [round(margin, 3) for margin in margins.values()] == [0.05, 0.07, 0.096]
    assert list(margins) == ["0.08", "0.16", "0.3"]


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        (["match.margin=0.05"], "the 120 confirm items support no margin below 10.4 points"),
        (["match={metric: accuracy, retain: 0.95}"], "match.retain allows at most 5.0 points"),
        (
            ["train.learning_rate=1e-3", "losses={answer_ce: {}}"],
            "2 configurations a size, and only 1",
        ),
        (["losses={answer_ce: {}}"], "no loss uses the teacher"),
        (["ladder.sizes.large={d_model: 64, d_ff: 64, layers: 2, heads: 2}"], "teacher: large"),
    ],
)
def test_what_will_disappoint_is_warned_of(
    plan: Planner, overrides: list[str], warning: str
) -> None:
    assert any(warning in told for told in plan(*overrides).warnings)


def test_a_split_of_one_unit_is_refused(plan: Planner) -> None:
    with pytest.raises(DataError, match="dev is one unit: a paired test needs at least two"):
        plan("splits.dev=1")


def test_equal_sizes_are_warned_of(plan: Planner) -> None:
    measures = "{d_model: 8, d_ff: 16, layers: 1, heads: 2}"
    warned = plan(f"ladder.sizes={{b: {measures}, a: {measures}}}").warnings
    assert "sizes with equal parameters are taken in the order of their names" in warned


def test_a_sampler_that_is_not_installed_is_named(
    plan: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdsearch.search.tpe.find_spec", lambda name: None)
    with pytest.raises(SpecError, match=r"needs optuna.*kdsearch-llm\[optuna\]"):
        plan("search.sampler=tpe")


def test_a_sound_plan_has_no_warnings(plan: Planner) -> None:
    assert plan("match.margin=0.2").warnings == ()


MISSING = """
from toy_domain import *

class Filed(Toy):
    name = "filed"
    def load(self, options):
        {load}

@hookimpl
def kdsearch_domains():
    return [Filed()]
"""


@pytest.fixture
def filed(tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a planner of a domain whose `load` is as given."""

    def planner(load: str, *overrides: str) -> Plan:
        monkeypatch.syspath_prepend(toy_plugin.parent)
        file = tmp_path / "filed.py"
        file.write_text(MISSING.format(load=load))
        host = Host([file])
        spec = load_spec(toy_plugin.parent / "toy.yaml", host, ["domain.name=filed", *overrides])
        return make_plan(spec, host)

    return planner


ABSENT = "raise DataError('no such file', where='/nowhere/data.csv')"


@pytest.mark.parametrize(
    "load", ["from kdsearch.errors import DataError; " + ABSENT, "open('/nowhere/data.csv')"]
)
def test_absent_data_leave_the_counts_of_the_spec(filed: Any, load: str) -> None:
    planned = filed(load, "splits.dev=0.2")
    assert planned.counts == (None, None, 120)
    assert "the data are not there" in planned.warnings[0]
    assert "/nowhere/data.csv" in planned.warnings[0]
    assert planned.to_json()["smallest_supported_margin"]["dev"] is None
    with pytest.raises(DataError):
        planned.rules()


@pytest.mark.parametrize(
    ("load", "kind", "message"),
    [
        ("from kdsearch.errors import DataError; raise DataError('bad', where='x.csv:3')",
         DataError, "x.csv:3: bad"),
        ("raise KeyError('question')", PluginError, "domain 'filed': load raised KeyError"),
        ("return []", DataError, "domain 'filed': it has no examples"),
    ],
)  # fmt: skip
def test_malformed_data_stop_the_plan(
    filed: Any, load: str, kind: type[KdsearchError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        filed(load)


def test_a_domains_own_tokenizer_gives_the_vocabulary(
    plan: Planner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 99}}}')
    domain = plan().parts.domain
    monkeypatch.setattr(type(domain), "tokenizer", lambda self, options: tmp_path, raising=False)
    assert plan().teacher.vocabulary == 100
    assert plan().sizes[0].embedding_parameters == 800


def test_a_teacher_that_is_no_model_folder_is_refused(plan: Planner, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder"):
        plan(f"teachers=[{{model: '{tmp_path}'}}]")


@pytest.mark.parametrize("fault", ["none", "twice", "raises"])
def test_a_broken_ladder_is_named(
    plan: Planner, toy_host: Host, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    def sizes(self: Any, config: Any, teacher: Any) -> list[Size]:
        return {"none": [], "twice": [Size("a", 1, 1, {}), Size("a", 2, 1, {})]}[fault]

    monkeypatch.setattr(type(toy_host.ladder("scratch")), "sizes", sizes)
    with pytest.raises(PluginError, match="ladder 'scratch'"):
        plan()


def test_a_plan_is_plain_data(plan: Planner) -> None:
    text = json.dumps(plan().to_json(), allow_nan=False)
    assert set(json.loads(text)) >= {"name", "teacher", "match", "sizes", "splits", "cost"}
    assert replace(plan(), warnings=()).to_json()["warnings"] == []


@pytest.mark.parametrize("where", ["train.precision", "teachers.0.fine_tune.precision"])
def test_half_precision_is_refused_for_t5(plan: Planner, where: str) -> None:
    with pytest.raises(SpecError, match="fp16 overflows in T5") as caught:
        plan(f"{where}=fp16")
    assert caught.value.where == where


@pytest.mark.parametrize("where", ["train.deepspeed", "teachers.0.fine_tune.deepspeed"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read .*: No such file"),
        ("{", "is not valid JSON"),
        ("[]", "holds no mapping"),
        ('{"zero_optimization": {"stage": 3}}', "asks for ZeRO stage 3.*use stage 1 or 2"),
        ('{"zero_optimization": {"stage": 2}}', "DeepSpeed is not installed here.*pip install"),
    ],
)
def test_a_deepspeed_file_is_looked_at_first(
    plan: Planner,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    message: str,
    where: str,
) -> None:
    monkeypatch.setattr("kdsearch.plan.deepspeed.find_spec", lambda name: None)
    file = tmp_path / "zero.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(SpecError, match=message) as caught:
        plan(f"{where}={file}")
    assert caught.value.where == where


@pytest.mark.parametrize("where", ["train", "teachers.0.fine_tune"])
def test_something_must_be_left_to_train_on(plan: Planner, where: str) -> None:
    with pytest.raises(SpecError, match="nothing is left to train on: train has 109") as caught:
        plan(f"{where}.validation=109")
    assert caught.value.where == f"{where}.validation"
    plan(f"{where}.validation=108")


def test_held_out_examples_are_no_part_of_an_epoch(plan: Planner) -> None:
    asked = ("train.max_steps=null", "train.epochs=2", "search.configurations_per_size=1")
    assert plan(*asked, "train.validation=61").to_json()["steps"] == 3 * 2 * (2 * 3)


def test_epochs_are_planned_in_steps_of_the_data(plan: Planner) -> None:
    planned = plan("train.max_steps=null", "train.epochs=2", "search.configurations_per_size=1")
    per_epoch = -(-planned.counts.train // 16)  # type: ignore[operator]  # the data are there
    assert planned.to_json()["steps"] == 3 * 2 * (2 * per_epoch)


def test_a_budget_in_tokens_bounds_the_cost_and_leaves_the_steps_open(plan: Planner) -> None:
    planned = plan("train.max_steps=null", "train.tokens=5000")
    size = planned.sizes[0]
    assert planned.steps is None
    assert planned.trial_flops(size) == 6 * size.parameters * (5000 + 16 * LONGEST)


@pytest.mark.parametrize("where", ["train", "teachers.0.fine_tune"])
def test_a_warm_up_without_end_is_refused(plan: Planner, where: str) -> None:
    with pytest.raises(SpecError, match="warm-up of 20 steps does not end") as caught:
        plan(f"{where}.warmup=20")
    assert caught.value.where == f"{where}.warmup"


def test_deepspeed_files_are_found_from_anywhere(toy_spec: Path, toy_host: Host) -> None:
    named = ["train.deepspeed=zero.json", "teachers.0.fine_tune.deepspeed=zero.json"]
    spec = load_spec(toy_spec, toy_host, named)
    stage: Any = absolute_paths(spec, resolve_parts(spec, toy_host)).stage
    places = {stage.train.deepspeed, stage.teachers[0].fine_tune.deepspeed}
    assert places == {str(Path("zero.json").absolute())}

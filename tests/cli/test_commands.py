from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.plan import make_plan
from kdsearch.search.ledger import ConfirmLedger
from kdsearch.spec.loading import load_spec
from kdsearch.spec.models import SearchSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from kdsearch.plugin.host import Host

    Kd = Callable[..., Any]


def test_validate_says_what_the_spec_asks_for(kd: Kd, toy_spec: Path, toy_plugin: Path) -> None:
    ended = kd("validate", toy_spec, "--plugin", toy_plugin)
    assert ended.exit_code == 0
    assert ended.stderr == ""
    for words in ("is a valid spec", "domain    toy version 1", "learning_rate: loguniform 0.0001"):
        assert words in ended.stdout


def test_validate_lists_the_stages(kd: Kd) -> None:
    ended = kd("validate", Path(__file__).parents[2] / "specs" / "two-stages.yaml")
    assert "stage 0   arithmetic: seed 1, answer_ce\n" in ended.stdout
    assert "searched  stages.1.losses.soft_labels.temperature: grid 1, 2\n" in ended.stdout


def test_validate_prints_the_resolved_spec(
    kd: Kd, toy_spec: Path, toy_plugin: Path, toy_host: Host
) -> None:
    ended = kd("validate", toy_spec, "--plugin", toy_plugin, "--set", "search.seed=7", "--json")
    spec = SearchSpec.model_validate(ended.json["spec"])
    assert spec == load_spec(toy_spec, toy_host, ["search.seed=7"])


def test_validate_needs_no_data_and_no_model(kd: Kd, toy_spec: Path, toy_plugin: Path) -> None:
    teacher = "teachers=[{model: /nowhere}]"
    assert kd("validate", toy_spec, "--plugin", toy_plugin, "--set", teacher).exit_code == 0
    ended = kd("plan", toy_spec, "--plugin", toy_plugin, "--set", teacher)
    assert ended.exit_code == 2
    assert ended.stderr == "error: /nowhere: no model folder: config.json is missing\n"


def test_faults_of_a_spec_are_told_each_on_its_line(
    kd: Kd, toy_spec: Path, toy_plugin: Path
) -> None:
    settings = ["--set", "train.max_steps=0", "--set", "match.margin=2"]
    ended = kd("validate", toy_spec, "--plugin", toy_plugin, *settings)
    assert ended.exit_code == 2
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: --set ") for line in lines)


def test_plan_prints_what_the_library_plans(
    kd: Kd, toy_spec: Path, toy_plugin: Path, toy_host: Host
) -> None:
    ended = kd("plan", toy_spec, "--plugin", toy_plugin, "--json")
    planned = make_plan(load_spec(toy_spec, toy_host), toy_host, ledger=ConfirmLedger())
    assert ended.json == planned.to_json()


def test_plan_warns_and_ends_well(kd: Kd, toy_spec: Path, toy_plugin: Path) -> None:
    ended = kd("plan", toy_spec, "--plugin", toy_plugin, "--set", "match.margin=0.02")
    assert ended.exit_code == 0
    assert "support no margin below 10.4 points" in ended.stdout
    assert "\x1b" not in ended.stdout


def test_schema_takes_both_forms(kd: Kd, toy_spec: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    from kdsearch.spec.document import read_document

    data, schema = read_document(toy_spec).data, kd("schema").json
    jsonschema.validate(data, schema)
    stage = {key: data.pop(key) for key in ("domain", "splits", "teachers", "losses", "train")}
    jsonschema.validate({**data, "stages": [stage]}, schema)
    for wrong in (data, {**data, **stage, "stages": [stage]}, {**data, **stage, "serach": {}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_plan_with_an_unreadable_ledger_is_refused_in_one_line(
    kd: Callable[..., Any], toy_spec: Path, toy_plugin: Path
) -> None:
    ConfirmLedger().path.mkdir(parents=True)
    ended = kd("plan", toy_spec, "--plugin", toy_plugin)
    assert ended.exit_code == 2
    assert "the ledger of confirm items cannot be read" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdsearch.errors import SpecError
from kdsearch.spec.document import parse_document
from kdsearch.spec.faults import strictly
from kdsearch.spec.loading import WRITTEN_ORDER, differences, load, load_spec, write_spec
from kdsearch.spec.models import SearchSpec, Stage
from kdsearch.spec.parts import resolve_parts
from kdsearch.spec.space import Choice

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host


def fault(toy_spec: Path, toy_host: Host, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        load_spec(toy_spec, toy_host, overrides)
    return str(caught.value)


def test_the_toy_spec_loads(toy_spec: Path, toy_host: Host) -> None:
    spec, parts, _ = load(toy_spec, toy_host)
    assert list(spec.stage.spaces) == [
        "losses.soft_labels.weight",
        "losses.soft_labels.temperature",
        "train.learning_rate",
    ]
    assert parts.domain.name == "toy"
    assert parts.needs == {"top_logits"}
    temperature = parts.loss_config("soft_labels", spec.stage.resolve({
        "losses.soft_labels.weight": 1.0,
        "losses.soft_labels.temperature": 4,
        "train.learning_rate": 1e-3,
    })).temperature  # fmt: skip
    assert temperature == 4.0


def test_stages_and_its_folded_form_are_the_same(
    toy_spec: Path, toy_host: Host, tmp_path: Path
) -> None:
    lines = toy_spec.read_text().splitlines()
    start, end = lines.index("domain: {name: toy}"), lines.index("ladder:")
    losses, search = lines.index("losses:"), lines.index("search: {configurations_per_size: 2}")
    stage = lines[start:end] + lines[losses:search]
    rest = lines[:start] + lines[end:losses] + lines[search:]
    file = tmp_path / "staged.yaml"
    file.write_text("\n".join([*rest, "stages:", "  -", *(f"    {line}" for line in stage)]))
    assert load_spec(file, toy_host) == load_spec(toy_spec, toy_host)
    assert "stages.0.train" in fault(file, toy_host, "stages.0.train.max_steps=-1")
    assert fault(toy_spec, toy_host, "stages=[]").endswith(
        "toy.yaml:2:1: key 'domain' stands inside stages where stages is written"
    )


def test_a_written_spec_loads_back_equal(toy_spec: Path, toy_host: Host, tmp_path: Path) -> None:
    spec = load_spec(toy_spec, toy_host)
    file = tmp_path / "spec.yaml"
    file.write_text(write_spec(spec), encoding="utf8")
    assert load_spec(file, toy_host) == spec


def test_a_spec_travels_as_json(toy_spec: Path, toy_host: Host) -> None:
    spec = load_spec(toy_spec, toy_host)
    arrived = SearchSpec.model_validate(spec.model_dump(mode="json"))
    assert arrived == spec
    assert resolve_parts(arrived, toy_host) == resolve_parts(spec, toy_host)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(options=st.dictionaries(st.text(max_size=5), plain), values=st.lists(plain, min_size=1))
def test_any_option_is_written_and_read_back(options: dict[str, Any], values: list[Any]) -> None:
    data = {
        "name": "any",
        "stages": [
            {
                "domain": {"name": "toy", "options": options},
                "teachers": [{"model": "teacher"}],
                "losses": {"answer_ce": {"weight": 1.0, "searched": {"choice": values}}},
            }
        ],
        "ladder": {"kind": "scratch"},
        "match": {"metric": "accuracy", "margin": 0.1},
    }
    spec = strictly(SearchSpec, data)
    assert isinstance(spec.stage.losses["answer_ce"].rest["searched"], Choice)
    read = parse_document(write_spec(spec), "f").data
    assert read["domain"]["options"] == options
    assert read["losses"]["answer_ce"]["searched"] == {"choice": values}
    stage = {key: read.pop(key) for key in Stage.model_fields}
    assert strictly(SearchSpec, {**read, "stages": [stage]}) == spec


@pytest.mark.parametrize(
    ("old", "new", "place", "message"),
    [
        ("search:", "serach:", "18:1", "unknown key 'serach': did you mean 'search'?"),
        ("losses:", "loses:", "14:1", "unknown key 'loses': did you mean 'losses'?"),
        ("d_ff: 16,", "d_f: 16,", "12:24", "unknown key 'd_f' in ladder.sizes.tiny"),
        ("max_steps: 20}\nsearch", "max_step: 20}\nsearch", "17:68", "did you mean 'max_steps'?"),
        (
            "batch_size: 16, max",
            "batch_size: x, max",
            "17:64",
            'should be a valid integer, not "x"',
        ),
        ("batch_size: 16, max", "batch_size: -1, max", "17:64", "should be greater than 0, not -1"),
        (
            "uniform:",
            "unifrom:",
            "16:25",
            "unknown search space 'unifrom': did you mean 'uniform'?",
        ),
        ("[1, 2, 4]", "[1, -2, 4]", "16:74", "temperature.choice.1: should be greater than 0"),
        ("[1, 2, 4]", "[1, hot, 4]", "16:74", 'should be a valid number, not "hot"'),
        ("[0.0, 2.0]", "[-1.0, 2.0]", "16:36", "greater than or equal to 0, not -1.0"),
        ("soft_labels:", "soft_label:", "16:3", "unknown loss 'soft_label': did you mean"),
        ("temperature:", "temprature:", "16:48", "did you mean 'temperature'? allowed: "),
        ("{name: toy}", "{name: toi}", "2:16", "unknown domain 'toi': did you mean 'toy'?"),
        ("{name: toy}", "{name: toy, options: {larges: 3}}", "2:31", "did you mean 'largest'?"),
        ("{name: toy}", "{name: toy_evaluate}", "2:16", "for evaluation only"),
        (
            "search: {configurations_per_size: 2}",
            "search: {configurations_per_size: 2, sampler: grid}",
            "16:25",
            "losses.soft_labels.weight: an interval has no grid to walk",
        ),
        ("kind: scratch", "kind: scrach", "8:9", "unknown ladder 'scrach': did you mean"),
        ("metric: accuracy", "metric: acuracy", "19:17", "unknown metric 'acuracy': did you"),
        ("metric: accuracy", "metric: macro_f1", "19:17", "is not a mean over items"),
        ("metric: accuracy, ", "", "19:1", "missing key 'metric' in match"),
        (", margin: 0.1", "", "19:8", "match: give exactly one of margin, retain"),
        ("dev: 60", "dev: 1.5", "3:15", "a share between 0 and 1, not 1.5"),
        ("dev: 60", "dev: oficial:dev", "3:15", "'official:NAME' or 'rest', not 'oficial:dev'"),
        ("domain: {name: toy}\n", "", "1:1", "missing key 'domain'"),
        ("name: toy\n", "name: to y\n", "1:7", "should match pattern"),
    ],
)
def test_a_fault_stands_at_its_place(
    toy_spec: Path, toy_host: Host, tmp_path: Path, old: str, new: str, place: str, message: str
) -> None:
    text = toy_spec.read_text(encoding="utf8")
    assert text.count(old) >= 1
    file = tmp_path / "spec.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf8")
    lines = fault(file, toy_host).splitlines()
    assert lines[0].startswith(f"{file}:{place}: "), lines
    assert message in lines[0]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("teachers=[]", "teachers: needs at least 1, not []"),
        ("teachers.0.model=x", "teachers.0: give exactly one of model, scratch"),
        ("teachers.0.fine_tune=", "a scratch teacher knows nothing: give fine_tune too"),
        ("train.batch_size=true", "train.batch_size: should be a valid integer, not true"),
        ("train.batch_size='8'", 'train.batch_size: should be a valid integer, not "8"'),
        ("train.schedule=linaer", "train.schedule: unknown value 'linaer': did you mean 'linear'?"),
        ("train=", "train: should be a mapping of keys, not null"),
        ("train.learning_rate={loguniform: [0, 1]}", "needs a low bound above 0, not 0.0"),
        ("train.learning_rate={choice: [1], grid: [2]}", "neither a value nor a search space"),
        ("train.batch_size={uniform: [4, 8]}", "an interval draws fractions: use choice"),
        ("train.batch_size={choice: [4, 0]}", "batch_size.choice.1: should be greater than 0"),
        ("splits.dev=rest", "splits: 'rest' can be one split only"),
        ("losses={answer_ce: {weight: 0}}", "every weight is 0 in configuration 0"),
    ],
)
def test_a_faulty_override_is_one_line(
    toy_spec: Path, toy_host: Host, setting: str, message: str
) -> None:
    told = fault(toy_spec, toy_host, setting)
    assert message in told
    assert "\n" not in told


def test_several_faults_are_told_each_on_its_line(toy_spec: Path, toy_host: Host) -> None:
    told = fault(toy_spec, toy_host, "train.max_steps=0", "match.margin=2", "prompt.x=1")
    lines = told.splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "--set prompt.x=1", "--set train.max_steps=0", "--set match.margin=2",
    ]  # fmt: skip


def test_differences_name_the_keys_as_the_user_wrote_them(toy_spec: Path, toy_host: Host) -> None:
    old = load_spec(toy_spec, toy_host)
    changes = [
        "train.max_steps=7",
        "domain.options.largest=9",
        "match={metric: accuracy, retain: 1}",
    ]
    assert differences(old, load_spec(toy_spec, toy_host, changes)) == [
        "domain.options: {} → absent",
        "train.max_steps: 20 → 7",
        "match.margin: 0.1 → None",
        "match.retain: None → 1.0",
        "domain.options.largest: absent → 9",
    ]
    assert differences(old, old) == []


def test_every_key_is_written() -> None:
    assert {*SearchSpec.model_fields, *Stage.model_fields} == {*WRITTEN_ORDER}

"""A domain whose score() lies or is malformed: one line, exit code 3, nothing written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

FAULTS = {
    "constant": ("[1.0 for p, e in pairs]", "score() gives 'accuracy' 1.0 to wrong answers"),
    "no_gold": ("[float(p.text.isdigit()) for p, e in pairs]", "score() ignores the right answer"),
    "by_position": ("[place % 2 for place, _ in enumerate(pairs)]", "on the order of the items"),
    "drawn": ("[random.random() for p, e in pairs]", "score() gives other values when called agai"),
    "percent": ("[100.0 * (p.text == e.answer) for p, e in pairs]", "divide by 100"),
    "not_a_number": ("[math.nan for p, e in pairs]", "score() gives 'accuracy' nan for item"),
    "too_short": ("[1.0]", "score() gives 1 values of 'accuracy' for 60 predictions"),
    "raising": ("[e.answer[9] for p, e in pairs]", "score() raised IndexError: string index out"),
    "nameless": (None, "score() gives no 'accuracy'; it gives: acc"),
}
DOMAIN = """
class {title}(Toy):
    name, aggregates = "{name}", ()

    def score(self, predictions, examples):
        pairs = list(zip(predictions, examples, strict=True))
        return Scores({{"{metric}": {values}}})
"""


@pytest.fixture
def plugin(toy_plugin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a plugin file with a domain for each fault."""
    monkeypatch.syspath_prepend(toy_plugin.parent)
    classes = [
        DOMAIN.format(
            title=name.title(), name=name, metric="accuracy" if values else "acc", values=values
        )
        for name, (values, _) in FAULTS.items()
    ]
    made = ", ".join(f"{name.title()}()" for name in FAULTS)
    hook = f"@hookimpl\ndef kdsearch_domains():\n    return [Toy(), {made}]\n"
    file = tmp_path / "mine.py"
    file.write_text("\n".join(["import math, random", "from toy_domain import *", *classes, hook]))
    return file


@pytest.mark.parametrize("name", FAULTS)
def test_a_run_refuses_it(
    kd: Kd, name: str, plugin: Path, toy_spec: Path, tmp_path: Path, run_here: None
) -> None:
    asked = ("--plugin", plugin, "--display", "none", "--set", f"domain.name={name}")
    ended = kd("run", toy_spec, "--run-dir", tmp_path / "run", *asked)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"error: domain '{name}': ")
    assert FAULTS[name][1] in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
    planned = kd("plan", toy_spec, "--plugin", plugin, "--set", f"domain.name={name}")
    assert (planned.exit_code, planned.stdout) == (3, "")
    assert planned.stderr == ended.stderr or name == "drawn"


def test_a_member_of_several_domains_is_refused_by_its_name(
    kd: Kd, plugin: Path, toy_spec: Path, tmp_path: Path, run_here: None
) -> None:
    spec = tmp_path / "several.yaml"
    several = "domains: [{name: toy}, {name: constant}]"
    spec.write_text(toy_spec.read_text().replace("domain: {name: toy}", several))
    asked = ("--run-dir", tmp_path / "run", "--plugin", plugin, "--display", "none")
    ended = kd("run", spec, *asked)
    assert (ended.exit_code, (tmp_path / "run").exists()) == (3, False)
    assert ended.stderr.startswith("error: domain 'constant': score() gives 'accuracy' 1.0 to wro")


@pytest.mark.parametrize("name", ["constant", "no_gold", "not_a_number"])
def test_evaluate_refuses_it_before_a_model_is_loaded(
    kd: Kd, name: str, plugin: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    ended = kd("evaluate", tmp_path / "model", "-d", name, "--plugin", plugin)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert FAULTS[name][1] in ended.stderr

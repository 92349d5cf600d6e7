"""What the README shows works: its spec, its domain, its commands."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from kdsearch.cli import main
from kdsearch.plugin.api import Example, Prediction
from kdsearch.plugin.host import Host
from kdsearch.predictions import Predictions
from kdsearch.spec.document import parse_document
from kdsearch.spec.loading import load_spec
from kdsearch.spec.models import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

README = Path(__file__).parents[1] / "README.md"


def blocks(language: str) -> list[str]:
    text = README.read_text(encoding="utf8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands() -> Iterator[str]:
    """Yield the kdsearch command lines of code blocks and of running text."""
    for line in "\n".join(blocks("sh")).splitlines():
        if line.startswith("kdsearch "):
            yield line.partition("#")[0].strip()
    prose = re.sub(r"```.*?```", "", README.read_text(encoding="utf8"), flags=re.DOTALL)
    yield from re.findall(r"`(kdsearch [a-z][^`]*)`", prose)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Return the README's domain as a file."""
    file = tmp_path / "tickets.py"
    file.write_text(blocks("python")[0], encoding="utf8")
    return file


@pytest.mark.parametrize("line", sorted(set(commands())))
def test_every_command_exists(line: str) -> None:
    command: click.Command = main
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not main
    if words:  # a bare name stands for the command
        command.make_context(command.name, words).close()


def test_the_spec_is_valid(tmp_path: Path, plugin: Path) -> None:
    file = tmp_path / "tickets.yaml"
    file.write_text(blocks("yaml")[0], encoding="utf8")
    spec = load_spec(file, Host([plugin]))
    assert spec.stage.domain.name == "support_tickets"


def test_every_loss_of_the_core_is_listed_with_what_it_needs() -> None:
    section = README.read_text(encoding="utf8").partition("\n## Losses\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", section, flags=re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", needs)) for name, needs in rows}
    offered = {
        name: {need.value for need in offer.item.needs}
        for name, offer in Host().losses.items()
        if offer.source.distribution == "kdsearch-llm"
    }
    assert listed == offered


def test_the_domain_loads_words_and_judges(tmp_path: Path, plugin: Path) -> None:
    tickets = tmp_path / "tickets.jsonl"
    tickets.write_text(json.dumps({"id": "7", "text": "Where is it?", "team": "delivery"}))
    host = Host([plugin])
    assert host.problems == []
    domain = host.domain("support_tickets")
    options = domain.Options(path=tickets)
    [example] = domain.load(options)
    prompt = domain.format(example, options)
    assert (prompt.target, prompt.choices) == ("delivery", ("billing", "delivery", "returns"))
    scores = domain.score([Prediction("7", "delivery", choice=1)], [example])
    assert scores.per_item == {"accuracy": [1.0]}


def test_the_answers_of_a_black_box_are_read(tmp_path: Path, plugin: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    answers.write_text(blocks("json")[0], encoding="utf8")
    teams = ("billing", "delivery", "returns")
    asked = [Example(f"t{number}", "?", 0, choices=teams) for number in (1, 2, 3)]
    read = Predictions(answers).of([*asked, Example("t4", "When?", "in 1914")])
    assert [answer.choice for answer in read] == [0, 2, 1, None]
    assert read[-1].text == "in 1914"


@pytest.mark.parametrize(
    ("block", "teachers"),
    [(1, ["0"]), (2, ["0"]), (3, ["large", "specialist"]), (4, ["0"]), (5, ["0"])],
)
def test_every_part_of_a_spec_is_valid(
    tmp_path: Path, plugin: Path, block: int, teachers: list[str]
) -> None:
    texts = blocks("yaml")
    first, second = (parse_document(texts[at], "README").data for at in (0, block))
    first = {key: value for key, value in first.items() if f"{key}s" not in second}
    file = tmp_path / "tickets.json"  # JSON is YAML
    file.write_text(json.dumps({**first, **second}), encoding="utf8")
    assert load_spec(file, Host([plugin])).stage.names == teachers


def test_the_stages_are_valid(tmp_path: Path, plugin: Path) -> None:
    texts = blocks("yaml")
    whole = parse_document(texts[0], "README").data
    top = {key: value for key, value in whole.items() if key not in Stage.model_fields}
    file = tmp_path / "stages.json"
    file.write_text(json.dumps({**top, **parse_document(texts[-1], "README").data}))
    spec = load_spec(file, Host([plugin]))
    assert [stage.domain.name for stage in spec.stages] == ["winogrande", "social_iqa"]

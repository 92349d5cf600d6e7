"""`kdsearch evaluate`: how models score on domains, with intervals and chance lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdsearch.cli.options import json_option, make_host, plugin_options, settings_option
from kdsearch.cli.output import print_json, print_table, say
from kdsearch.errors import RunError
from kdsearch.storage.folder import write_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from kdsearch.evaluation import Answered

    Function = TypeVar("Function", bound=Callable[..., Any])


def question_options(function: Function) -> Function:
    """Add --domain, --split and --items."""
    domain = click.option(
        "--domain",
        "-d",
        "domains",
        multiple=True,
        metavar="NAME",
        help="What is asked; a student's own domain unless given. May be repeated.",
    )
    split = click.option(
        "--split",
        metavar="NAME",
        help="dev, train, all, or an official split of the data; dev unless given, or all of a "
        "domain that is for evaluation only. `evaluate` leaves out what decided a search.",
    )
    items = click.option(
        "--items", type=click.IntRange(min=1), help="Ask so many of each domain, always the same."
    )
    return domain(split(items(function)))


size_option = click.option(
    "--size", metavar="NAME", help="Of a run: the student of this size, not the selected one."
)


@click.command()
@click.argument(
    "models", metavar="MODEL...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@question_options
@size_option
@settings_option
@click.option(
    "--answers",
    type=click.Path(path_type=Path),
    help="Write every answer to this file, a JSON object a line.",
)
@json_option
@plugin_options
def evaluate(
    models: tuple[Path, ...],
    domains: tuple[str, ...],
    split: str | None,
    items: int | None,
    size: str | None,
    settings: tuple[str, ...],
    answers: Path | None,
    as_json: bool,
    plugin_files: tuple[Path, ...],
    strict: bool,
) -> None:
    """Score models on domains, each figure with its 95 % interval.

    MODEL is a model folder, or a run: its selected student. Students are asked as they were while
    they were trained. Confirm is never read.
    """
    from kdsearch.asked import Asked
    from kdsearch.evaluation import answers_of, check_metrics, find_model, report_of

    host = make_host(plugin_files, strict=strict)
    if answers is not None:
        _check_free(answers)
    found = [find_model(path, size) for path in models]
    asked = Asked(domains, settings, found, host)
    questions = asked.questions(split, items)
    check_metrics(found, questions, asked.asking)
    answered = list(answers_of(found, questions, asked.asking, _progress))
    if answers is not None:
        _write(answers, answered)
    report = report_of(answered, questions)
    if as_json:
        print_json(report)
        return
    from kdsearch.report.evaluations import evaluation_table

    print_table(evaluation_table(report))


def _progress(line: str) -> None:
    say(line, err=True)


def _check_free(path: Path) -> None:
    """Refuse a file that is there, or has no folder, before any model is asked."""
    if path.exists():
        raise RunError("the file exists already", where=str(path), fix="name another")
    if not path.parent.is_dir():
        raise RunError("there is no such folder", where=str(path.parent), fix="make it first")


def _write(path: Path, answered: Iterable[Answered]) -> None:
    lines = [json.dumps(line) for each in answered for line in each.lines()]
    write_output(path, "\n".join(lines) + "\n")

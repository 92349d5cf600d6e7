"""`kdsearch predict` and `kdsearch export`: a student's use after its search."""

from __future__ import annotations

from pathlib import Path

import click

from kdsearch.cli.evaluate import question_options, size_option
from kdsearch.cli.options import make_host, plugin_options, run_argument, settings_option
from kdsearch.cli.output import print_json_line, say
from kdsearch.errors import DataError, SpecError


@click.command()
@click.argument("model", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("file", metavar="[QUESTIONS]", default="-", type=click.Path(path_type=Path))
@question_options
@size_option
@settings_option
@plugin_options
def predict(
    model: Path,
    file: Path,
    domains: tuple[str, ...],
    split: str | None,
    items: int | None,
    size: str | None,
    settings: tuple[str, ...],
    plugin_files: tuple[Path, ...],
    strict: bool,
) -> None:
    """Answer questions, a JSON object a line.

    MODEL is a model folder, or a run: its selected student. QUESTIONS is a file of JSON lines with
    `question` and, where there are any, `choices` and `id`; standard input unless given. CSV is not
    read. With --split, the domain's own questions are answered. The answers suit
    `teachers: predictions`.
    """
    from kdsearch.asked import Asked
    from kdsearch.evaluation import answers_of, find_model, line_of
    from kdsearch.questions import Questions, read_questions

    host = make_host(plugin_files, strict=strict)
    found = find_model(model, size)
    asked = Asked(domains, settings, [found], host)
    if len(asked.domains) > 1:
        raise SpecError("one domain words the questions", where="--domain", fix="give one")
    if split is not None or items is not None:
        if str(file) != "-":
            raise SpecError("give either a file of questions or --split")
        [questions] = asked.questions(split, items, confirm=True)
    else:
        domain, options, _ = asked.domains[0]
        name = "standard input" if str(file) == "-" else str(file)
        examples = read_questions(_lines(file, name), name, domain, options)
        questions = Questions(domain, options, name, examples, ())
    [answered] = answers_of([found], [questions], asked.asking)
    for prediction, example in zip(answered.predictions, questions.examples, strict=True):
        print_json_line(line_of(prediction, example))


def _lines(file: Path, name: str) -> list[str]:
    """Return the lines of a file, `-` being standard input."""
    try:
        with click.open_file(str(file), encoding="utf-8-sig") as stream:
            return list(stream)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise DataError(f"cannot be read: {reason}", where=name) from error


@click.command()
@run_argument
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@size_option
def export(run_directory: Path, destination: Path, size: str | None) -> None:
    """Copy a run's selected student to DEST, which must not exist.

    The folder loads by `from_pretrained`, model and tokenizer, and holds a model card that says how
    to ask it without kdsearch. Its files are readable as new files of yours are.
    """
    from kdsearch.evaluation import copy_student, find_model

    found = find_model(run_directory, size)
    copy_student(found, destination)
    say(f"{found.folder} copied to {destination}", err=True)

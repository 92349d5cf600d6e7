"""`kdsearch plugins new`: a distribution to start from, sound as it is."""

from __future__ import annotations

import re
import shlex
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import click

from kdsearch.cli.options import make_host
from kdsearch.cli.output import say
from kdsearch.errors import SpecError
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kdsearch.plugin.host import Offer

SHARED = {"pyproject.toml": "pyproject.toml"}
FILES = {
    "README.md": "README.md",
    "kdsearch_$name.py": "module.py",
    "tests/test_$name.py": "test.py",
}
"""What is written, by the template that it is written from."""
TERM = {"kdsearch_${name}_term.py": "term.py"}
"""Of a loss besides: what imports torch."""
TORCH = "transformers"
"""What losses and ladders build with, torch among it."""


@click.command()
@click.argument("kind", type=click.Choice(["domain", "loss", "ladder"]))
@click.argument("name")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where the distribution's folder is made; here unless given.",
)
def new(kind: str, name: str, into: Path) -> None:
    """Write a distribution that offers a new domain, loss or ladder, with its tests."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SpecError(f"'{name}' is no name: lower-case letters, digits and _ are allowed")
    host = make_host((), strict=False, quiet=True)
    offers: dict[str, Mapping[str, Offer[Any]]] = {
        "domain": host.domains,
        "loss": host.losses,
        "ladder": host.ladders,
    }
    taken = offers[kind].get(name)
    if taken is not None:
        raise SpecError(f"the {kind} '{name}' is there already, by {taken.source}")
    folder = into / f"kdsearch-{name}"
    if folder.exists():
        raise SpecError("it exists already, and nothing is overwritten", where=str(folder))
    for place, text in _written(kind, name):
        Folder(into).write(into.absolute() / f"kdsearch-{name}" / place, text)
    say(f"wrote {folder}")
    project, tests = shlex.quote(f"{folder}[test]"), shlex.quote(str(folder))
    say(f"next: pip install -e {project} && pytest {tests}")


def _written(kind: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield the place of each file in the distribution, with what stands in it."""
    term = TERM if kind == "loss" else {}
    modules = ["kdsearch_$name", *(place.removesuffix(".py") for place in term)]
    filled = {
        "kind": kind,
        "name": name,
        "title": "".join(part.capitalize() for part in name.split("_")),
        "modules": ", ".join(f'"{Template(each).substitute(name=name)}"' for each in modules),
        "needs": "" if kind == "domain" else f'    "{TORCH}",\n',
    }
    templates = files("kdsearch.cli") / "templates"
    for place, template in {**SHARED, **FILES, **term}.items():
        source = templates if place in SHARED else templates / kind
        text = (source / f"{template}.txt").read_text(encoding="utf8")
        yield Template(place).substitute(filled), Template(text).substitute(filled)

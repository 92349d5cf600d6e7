"""`kdsearch plugins new`: a distribution to start from, sound as it is."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from string import Template

import click

from kdsearch.cli.options import make_host
from kdsearch.errors import SpecError

FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "kdsearch_$name.py": "module.py",
    "tests/test_$name.py": "test.py",
}
"""What is written, by the template that it is written from."""


@click.command()
@click.argument("kind", type=click.Choice(["domain"]))
@click.argument("name")
@click.option(
    "--into",
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where the distribution's folder is made; here unless given.",
)
def new(kind: str, name: str, into: Path) -> None:
    """Write a distribution that offers a new domain, with its tests."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SpecError(f"'{name}' is no name: lower-case letters, digits and _ are allowed")
    taken = make_host((), strict=False, quiet=True).domains.get(name)
    if taken is not None:
        raise SpecError(f"the {kind} '{name}' is there already, by {taken.source}")
    folder = into / f"kdsearch-{name}"
    if folder.exists():
        raise SpecError("it exists already, and nothing is overwritten", where=str(folder))
    title = "".join(part.capitalize() for part in name.split("_"))
    for place, template in FILES.items():
        source = files("kdsearch.cli") / "templates" / f"{template}.txt"
        file = folder / Template(place).substitute(name=name)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            text = Template(source.read_text(encoding="utf8")).substitute(name=name, title=title)
            file.write_text(text, encoding="utf8")
        except OSError as error:
            message = f"cannot be written: {error.strerror}"
            raise SpecError(message, where=str(file)) from error
    click.echo(f"wrote {folder}")
    click.echo(f"next: pip install -e {folder} && pytest {folder}")

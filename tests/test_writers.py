"""Every write goes through `kdsearch.storage`: nothing else makes, moves or removes files."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kdsearch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(kdsearch.__file__).parent

METHODS = {
    *("write_text", "write_bytes", "mkdir", "touch", "unlink", "rmdir", "rename", "symlink_to"),
    *("hardlink_to", "rmtree", "copyfile", "copy2", "move", "makedirs", "removedirs", "mkdtemp"),
    *("chmod", "fchmod", "savez", "tofile", "to_parquet", "save_to_disk"),
}
"""Names of functions and methods that change the file system."""

FILLERS = {"save_pretrained", "save_file", "copytree"}
"""Libraries' own writers: only into the draft of `Folder.fill`, or under `writing`."""

ALLOWED = {
    "cli/application.py": {"open"},  # the null device
    **{f"spec/{name}.py": {"rename"} for name in ("faults", "loading", "parts")},  # of trails
    "search/journal.py": {"open"},
    "search/ledger.py": {"open", "mkdir", "fchmod"},
}
"""Files that append to a file of their own, whose end they know: journal and user's ledger."""

FILLING = {
    "distill/black_box.py": {"save_pretrained"},
    "distill/export.py": {"save_pretrained", "copytree"},
    "distill/importance.py": {"save_file"},
    "distill/jobs.py": {"save_pretrained"},
    "distill/teachers.py": {"save_pretrained"},
    "distill/trainer.py": {"save_pretrained", "save_file"},
}
"""Files in which libraries write into what a `Folder` has made for them."""


def _sources() -> list[Path]:
    files = sorted(ROOT.rglob("*.py"))
    apart = ("storage", "testing")  # the writer itself, and what tests of plugins write
    return [file for file in files if file.relative_to(ROOT).parts[0] not in apart]


def _uses(source: str) -> Iterator[str]:
    """Yield every use of what writes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(attr=name) if name in METHODS | FILLERS:
                yield name
            case ast.Name(id=name) if name in (METHODS | FILLERS) - {"rename"}:  # a usual name
                yield name
            case ast.Call(func=ast.Attribute(attr="open") | ast.Name(id="open")) if _writes(node):
                yield "open"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr=name)):
                yield from [name] if name in ("replace", "remove", "open", "truncate") else []


def _writes(call: ast.Call) -> bool:
    """Whether a call of `open` may write: its mode says so, or cannot be read here."""
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "mode")]
    modes = [each for each in given if isinstance(each, ast.Constant) and _is_mode(each.value)]
    unread = [each for each in given if isinstance(each, ast.IfExp)]
    return bool(unread) or any(set(str(mode.value)) & set("wax+") for mode in modes)


def _is_mode(value: object) -> bool:
    return isinstance(value, str) and set(value) <= set("rwaxbt+") and len(value) < 5


@pytest.mark.parametrize(
    "source",
    [
        "path.write_text('x')",
        "shutil.rmtree(path)",
        "open(path, 'w')",
        "path.open('ab')",
        "path.open(mode='r+')",
        "os.replace(a, b)",
        "model.save_pretrained(folder)",
        "make = path.mkdir",
    ],
)
def test_every_way_to_write_is_seen(source: str) -> None:
    assert list(_uses(source))


@pytest.mark.parametrize("source", ["path.open()", "path.open('rb')", "text.replace('a', 'b')"])
def test_reading_is_free(source: str) -> None:
    assert not list(_uses(source))


def test_only_the_writer_writes() -> None:
    found = {}
    for file in _sources():
        name = file.relative_to(ROOT).as_posix()
        known = ALLOWED.get(name, set()) | FILLING.get(name, set())
        if others := set(_uses(file.read_text("utf8"))) - known:
            found[name] = others
    assert found == {}

"""What loads models, datasets and pickles stands in few places, which never run foreign code."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import kdsearch

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(kdsearch.__file__).parents[1]

LOADERS = {"from_pretrained", "from_config", "load_dataset", "read_pickle"}
"""Attributes that load, or build from a folder's description."""

ALLOWED = {
    "kdsearch/distill/loading.py": {"from_pretrained", "from_config"},
    "kdsearch/plugin/hub.py": {"load_dataset"},
}
"""The only files that may use them."""

PICKLES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
"""Modules that run what they read; nobody imports them."""


def _sources() -> list[Path]:
    files = [*ROOT.glob("kdsearch/**/*.py"), *ROOT.glob("plugins/*/**/*.py")]
    return [file for file in files if "tests" not in file.relative_to(ROOT).parts]


def _uses(source: str) -> Iterator[str]:
    """Yield every use of a loader or a pickle in a source text."""
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        match node:
            case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                names = ["torch.load"]
            case ast.Attribute(attr=name) | ast.Name(id=name):
                names = [name] if name in LOADERS else []
            case ast.ImportFrom(module=module, names=imported):
                names = [str(module).partition(".")[0], *(each.name for each in imported)]
                if module == "torch":
                    names += ["torch.load" for each in imported if each.name == "load"]
            case ast.Import(names=imported):
                names = [each.name.partition(".")[0] for each in imported]
            case ast.Call(func=ast.Name(id="getattr" | "import_module"), args=arguments):
                values = [each.value for each in arguments if isinstance(each, ast.Constant)]
                names = [str(value).partition(".")[0] for value in values]
        yield from (name for name in names if name in LOADERS | PICKLES | {"torch.load"})


@pytest.mark.parametrize(
    "source",
    [
        "AutoModel.from_pretrained(folder)",
        "load = AutoModel.from_config",
        "datasets.load_dataset('a')",
        "from datasets import load_dataset",
        "import pickle",
        "from pickle import loads",
        "torch.load(file)",
        "from torch import load",
        "getattr(AutoModel, 'from_pretrained')(folder)",
        "import_module('pickle')",
    ],
)
def test_every_way_to_load_is_seen(source: str) -> None:
    assert list(_uses(source))


def test_only_the_loaders_load() -> None:
    found = {}
    for file in _sources():
        name = file.relative_to(ROOT).as_posix()
        if others := set(_uses(file.read_text("utf8"))) - ALLOWED.get(name, set()):
            found[name] = others
    assert found == {}


@pytest.mark.parametrize("name", ALLOWED)
def test_the_loaders_never_trust_code(name: str) -> None:
    """Each call says so itself; generation configs are data and take no such argument."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / name).read_text("utf8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOADERS
        and ast.unparse(node.func.value) != "GenerationConfig"
    ]
    assert calls
    for call in calls:
        told = ast.unparse(call).replace("'", '"')
        assert "trust_remote_code=False" in told or '"trust_remote_code": False' in told, told

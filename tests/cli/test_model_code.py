"""Code in model and tokenizer folders is never run, whatever the user's standard input says."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Kd = Callable[..., Any]

YES = "y\n" * 20
"""Whatever is asked on standard input is agreed to."""

CODE = """
from pathlib import Path
from transformers import AutoConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
Path({marker!r}).write_text("run")
class Config(LlamaConfig):
    model_type = "foreign"
class Model(LlamaForCausalLM):
    config_class = Config
class Tokenizer(PreTrainedTokenizerFast):
    pass
"""

MAP = {
    "AutoConfig": "code.Config",
    "AutoModelForCausalLM": "code.Model",
    "AutoModelForSeq2SeqLM": "code.Model",
    "AutoTokenizer": ["code.Tokenizer", "code.Tokenizer"],
}

SMALL = {
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
"""Of the model that the code defines: were it ever run, the tests fail in no time."""

DOMAIN = """
from pathlib import Path
from toy_domain import *

class Own(Toy):
    name = "own"

    def tokenizer(self, options):
        return Path({folder!r})

@hookimpl
def kdsearch_domains():
    return [Own()]
"""


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Return the file that the folders' code would write."""
    return tmp_path / "marker"


@pytest.fixture
def model(tmp_path: Path, marker: Path) -> Path:
    """Return a tiny T5 with code beside it that nothing asks for."""
    folder = tmp_path / "model"
    config = scratch_model_config("t5", ScratchSize(d_model=8, d_ff=16, layers=1, heads=2), 259)
    random_model(config, byte_tokenizer(), 0).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    (folder / "code.py").write_text(CODE.format(marker=str(marker)))
    return folder


def _edit(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), "auto_map": MAP, **values}))


def _spoil_model(folder: Path) -> None:
    """Let a model be of a sort that only its own code knows."""
    _edit(folder / "config.json", model_type="foreign", **SMALL)


def _spoil_tokenizer(folder: Path) -> None:
    """Let a tokenizer be of a class that only its own code knows."""
    _edit(folder / "tokenizer_config.json", tokenizer_class="Tokenizer")


def _no_config(folder: Path) -> None:
    """Leave a tokenizer that says nothing of a model."""
    _spoil_tokenizer(folder)
    (folder / "config.json").unlink()
    (folder / "tokenizer.json").unlink()


def test_the_code_would_write_its_marker(model: Path, marker: Path) -> None:
    """The folder is loadable to whom trusts it; otherwise the tests below show nothing."""
    from transformers import AutoTokenizer

    _spoil_model(model)
    _spoil_tokenizer(model)
    AutoTokenizer.from_pretrained(model, trust_remote_code=True)
    assert marker.exists()


@pytest.mark.parametrize("spoil", [_spoil_model, _no_config])
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_models_that_are_asked(
    kd: Kd, model: Path, marker: Path, toy_plugin: Path, command: str, spoil: Callable[[Path], None]
) -> None:
    spoil(model)
    ended = kd(
        command,
        model,
        "-d",
        "toy",
        "--plugin",
        toy_plugin,
        "--split",
        "all",
        "--items",
        2,
        stdin=YES,
    )
    assert not marker.exists()
    assert (ended.exit_code, ended.stdout) == (2, "")
    if spoil is _spoil_model:
        assert "its model is defined by code in the folder, and kdsearch never" in ended.stderr
        assert "trust_remote_code" not in ended.stderr


def test_attention_that_the_hub_brings(kd: Kd, model: Path, toy_plugin: Path) -> None:
    """Transformers would fetch the kernel, where the library for it is installed."""
    _edit(model / "config.json", attn_implementation="someone/attention")
    ended = kd("evaluate", model, "-d", "toy", "--plugin", toy_plugin, "--items", 2, stdin=YES)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "its attention is code of the hub, someone/attention" in ended.stderr


FAST = (
    "train.max_steps=1",
    "search.configurations_per_size=1",
    "losses={answer_ce: {}}",
    "ladder.sizes={tiny: {d_model: 8, d_ff: 16, layers: 1, heads: 2}}",
)


@pytest.fixture
def search(
    kd: Kd, toy_spec: Path, toy_plugin: Path, tmp_path: Path, run_here: None
) -> Callable[..., Any]:
    """Plan or run the toy search with overrides, as small as it can be."""

    def call(command: str, *overrides: str, plugin: Path = toy_plugin) -> Any:
        where = ["--run-dir", tmp_path / "run", "--display", "none", "--force"]
        where = where if command == "run" else []
        settings = [word for each in (*FAST, *overrides) for word in ("--set", each)]
        return kd(command, toy_spec, "--plugin", plugin, *where, *settings, stdin=YES)

    return call


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(
    "setting", ["teachers=[{{model: {}}}]", "ladder={{kind: pretrained, models: {{other: {}}}}}"]
)
def test_models_that_a_spec_names(
    search: Callable[..., Any], model: Path, marker: Path, setting: str, command: str
) -> None:
    _spoil_model(model)
    ended = search(command, setting.format(model))
    assert not marker.exists()
    assert ended.exit_code == 2
    assert "family 'foreign'" in ended.stderr


@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_tokenizer_that_a_domain_brings(
    search: Callable[..., Any],
    model: Path,
    marker: Path,
    toy_plugin: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    """The tokens are counted from its file; what loads it, refuses it."""
    _spoil_tokenizer(model)
    (model / "config.json").unlink()
    monkeypatch.syspath_prepend(toy_plugin.parent)
    (tmp_path / "own.py").write_text(DOMAIN.format(folder=str(model)))
    ended = search(command, "domain.name=own", plugin=tmp_path / "own.py")
    assert not marker.exists()
    if command == "run":
        assert ended.exit_code == 2
        assert "its tokenizer is defined by code in the folder" in ended.stderr


@pytest.mark.parametrize("spoil", [_spoil_model, _spoil_tokenizer])
def test_a_run_and_its_folders(
    search: Callable[..., Any],
    kd: Kd,
    model: Path,
    marker: Path,
    toy_plugin: Path,
    tmp_path: Path,
    spoil: Callable[[Path], None],
) -> None:
    """What was changed after the run began is not run by what goes on from it."""
    ended = search("run", f"teachers=[{{model: {model}}}]")
    assert ended.exit_code == 0, ended.stderr
    student = tmp_path / "run" / "students" / "tiny"
    shutil.copy(model / "code.py", student)
    spoil(student)
    export = tmp_path / "export"
    for words in (
        ("evaluate", tmp_path / "run", "--size", "tiny"),
        ("predict", tmp_path / "run", "--size", "tiny", "--split", "dev"),
        ("evaluate", student),
        ("export", tmp_path / "run", export, "--size", "tiny"),
    ):
        ended = kd(*words, *(() if words[0] == "export" else ("--plugin", toy_plugin)), stdin=YES)
        assert not marker.exists(), words
        assert spoil is _spoil_tokenizer or words[0] == "export" or ended.exit_code == 2, words
    journal = tmp_path / "run" / "journal.jsonl"
    journal.write_text(journal.read_text().splitlines()[0] + "\n")
    for folder in ("trials", "teacher", "students"):
        shutil.rmtree(tmp_path / "run" / folder)
    spoil(model)
    ended = kd("resume", tmp_path / "run", "--plugin", toy_plugin, "--display", "none", stdin=YES)
    assert not marker.exists()
    assert spoil is _spoil_tokenizer or ended.exit_code == 2, ended.stderr

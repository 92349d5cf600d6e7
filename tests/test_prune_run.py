"""Runs whose students are pruned and have a vocabulary of their own, in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from kdsearch.distill.data import row_key
from kdsearch.distill.loading import load_tokenizer
from kdsearch.distill.store import SignalStore
from kdsearch.distill.workspace import Workspace
from kdsearch.errors import DataError, KdsearchError, SpecError
from kdsearch.events import TrialProgress
from kdsearch.local import run_locally
from kdsearch.plan import make_plan
from kdsearch.run import run
from kdsearch.search.journal import read
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host

PRUNED = (
    "ladder={kind: prune, vocabulary: domain, sizes: {half: {layers: 1, d_model: 0.5, heads: 2}}}",
    "train={learning_rate: 1e-3, max_steps: 3}",
    "losses={answer_ce: {weight: 1}, soft_labels: {weight: 1}, hidden_mse: {weight: 1}}",
    "search={configurations_per_size: 1}",
    "match={metric: accuracy, margin: 0.9}",
    "prompt={format: plain, max_tokens: 16}",
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: Any) -> Path:
    """Return a stored tiny Llama whose tokenizer knows more than sums."""
    folder: Path = tmp_path_factory.mktemp("teacher")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    corpus = [f"{a} + {b} = {a + b}" for a in range(17) for b in range(17)]
    corpus += ["the company said that its profit had risen in the third quarter"] * 40
    special, alphabet = ["<pad>", "</s>"], pre_tokenizers.ByteLevel.alphabet()
    trainer: Any = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf8")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def spec_of(spec: Path, host: Host, teacher: Path, *overrides: str) -> Any:
    named = f"teachers=[{{model: {teacher}}}]"
    return load_spec(spec, host, [named, *PRUNED, *overrides])


def test_students_learn_from_the_teacher_in_their_own_tokens(
    toy_spec: Path, toy_host: Host, teacher: Path, tmp_path: Path
) -> None:
    spec, folder = spec_of(toy_spec, toy_host, teacher), tmp_path / "run"
    summary = run(spec, toy_host, folder, run_locally, force=True)
    assert summary["trials"] == {"finished": 2, "stopped": 0, "failed": 0}
    (size,) = summary["sizes"]
    student = folder / "students" / "half"
    plain: Any = AutoModelForCausalLM.from_pretrained(student)
    assert sum(each.numel() for each in plain.parameters()) == size["parameters"]
    assert plain.config.vocab_size == len(load_tokenizer(student)) < 350
    assert not (student / "loss_heads.safetensors").exists()


def test_stored_logits_are_the_teachers_for_the_kept_tokens(
    toy_spec: Path, toy_host: Host, teacher: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run(spec_of(toy_spec, toy_host, teacher), toy_host, folder, run_locally, force=True)
    workspace = Workspace(folder)
    ids = workspace.teacher_ids
    assert ids is not None
    student = workspace.build(workspace.size("half"), 0)
    rows = workspace.rows("train", student)
    named = json.loads(workspace.signal_note.read_text())
    store = SignalStore(workspace.signal_folder / named["stores"]["0"])
    source, target = ([ids[each] for each in side[0]] for side in (rows.sources, rows.targets))
    (row,) = store.rows_of([row_key(source, target)])
    whole: Any = AutoModelForCausalLM.from_pretrained(teacher)
    logits = whole(torch.tensor([[*source, *target]])).logits[0, len(source) - 1 : -1, list(ids)]
    stored = store.gather([row])["top_logits"]["logits"][0]
    torch.testing.assert_close(stored, logits, rtol=1e-4, atol=1e-5)


def test_a_teacher_beside_students_speaks_their_own_tokens(
    toy_spec: Path, toy_host: Host, teacher: Path, tmp_path: Path
) -> None:
    said = []
    for mode in ("cached", "online"):
        spec = spec_of(toy_spec, toy_host, teacher, f"cache.mode={mode}")
        run(spec, toy_host, tmp_path / mode, run_locally, force=True)
        events = [record.event for record in read(tmp_path / mode / "journal.jsonl")]
        told = [event for event in events if isinstance(event, TrialProgress) and event.losses]
        said.append({(event.trial, event.step): event.losses for event in told})
    assert len(said[0]) >= 4
    assert said[0].keys() == said[1].keys()
    for trial, losses in said[0].items():
        assert losses == pytest.approx(said[1][trial], rel=1e-5)


@pytest.mark.parametrize(
    ("override", "fault", "message"),
    [
        ("prompt.format=chat", SpecError, "reads plain prompts"),
        ("ladder.sizes.half.heads=3", SpecError, "multiples of 2 up to 4"),
        ("ladder.sizes.half.layers=1.5", SpecError, r"ladder\.sizes\.half\.layers"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_run(
    override: str,
    fault: type[KdsearchError],
    message: str,
    toy_spec: Path,
    toy_host: Host,
    teacher: Path,
) -> None:
    with pytest.raises(fault, match=message):
        make_plan(spec_of(toy_spec, toy_host, teacher, override), toy_host)


def test_a_domain_vocabulary_needs_the_data(
    toy_spec: Path, toy_host: Host, teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: Any) -> Any:
        raise DataError("no such file", where="/nowhere")

    monkeypatch.setattr("kdsearch.plan.making.load", absent)
    with pytest.raises(DataError, match="tokens of the training data, which are not there"):
        make_plan(spec_of(toy_spec, toy_host, teacher), toy_host)

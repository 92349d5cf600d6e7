"""Stores of teacher signals: computed once, by key and not by order, whole or computed again."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.capture import Captured, capture
from kdsearch.distill.data import Collator, joined, row_key
from kdsearch.distill.store import DamagedStoreError, SignalStore, StoreFiles
from kdsearch.errors import ModelError
from kdsearch.facts import facts_of_config
from kdsearch.model_folders import fingerprint
from kdsearch.plugin import LayerSignal, Signal, SignalRequest
from kdsearch.spec.signals import stored_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATES = [("decoder", 0), ("decoder", 2), ("encoder", 1)]
LAYERS = tuple(LayerSignal(Signal.HIDDEN_STATES, *state) for state in STATES)
REQUEST = SignalRequest(True, layers=LAYERS)
SMALL = 40_000
"""Bytes of a shard: the rows make several."""


@pytest.fixture(scope="module")
def teacher(tiny: Any) -> Any:
    return tiny(12, seed=5).model.eval()


@pytest.fixture
def build(tmp_path: Path, teacher: Any, rows: Any) -> Callable[..., Captured]:
    def built(request: SignalRequest = REQUEST, model: Any = None, of: Any = rows) -> Captured:
        load = (lambda: teacher) if model is None else model
        return capture(tmp_path, "teacher", of, request, load, shard_bytes=SMALL)

    return built


def unread() -> Any:
    raise AssertionError("the teacher is not needed")


def test_progress_counts_the_rows_that_are_computed(
    tmp_path: Path, teacher: Any, rows: Any
) -> None:
    told: list[tuple[int, int]] = []
    done = capture(
        tmp_path,
        "teacher",
        rows,
        REQUEST,
        lambda: teacher,
        shard_bytes=SMALL,
        progress=lambda *each: told.append(each),
    )
    assert told == sorted(set(told))
    assert len(told) > 1
    assert told[-1] == (done.computed, done.computed)


def test_a_batch_equals_the_teacher_run_on_it(build: Any, teacher: Any, rows: Any) -> None:
    store = SignalStore(build().path)
    taken = random.Random(1).sample(range(len(rows.examples)), 7)
    batch = Collator(0)(
        [{"input_ids": rows.sources[row], "labels": rows.targets[row]} for row in taken]
    )
    with torch.inference_mode():
        outputs = teacher(**batch, output_hidden_states=True)
    at = store.rows_of([row_key(rows.sources[row], rows.targets[row]) for row in taken])
    signals = store.gather(at)
    real, read = batch["labels"] != -100, batch["attention_mask"].bool()
    close = torch.testing.assert_close
    close(signals["top_logits"]["logits"][real], outputs.logits[real], atol=1e-5, rtol=1e-5)
    for stack, layer in STATES:
        mask, states = (
            (read, outputs.encoder_hidden_states)
            if stack == "encoder"
            else (real, outputs.decoder_hidden_states)
        )
        stored = signals["hidden_states"][stack][layer][mask]
        close(stored, states[layer][mask], atol=1e-5, rtol=1e-5)


def test_rows_in_another_order_or_twice_are_the_same_store(build: Any, rows: Any) -> None:
    first = build()
    turned = joined([rows, rows])
    again = build(model=unread, of=turned)
    assert (again.path, again.computed, first.computed) == (first.path, 0, len(rows.examples))


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("top_k", [None, 16])
def test_its_size_is_what_was_estimated(
    build: Any, teacher: Any, rows: Any, top_k: int | None, half: bool
) -> None:
    request = SignalRequest(True, (1.0, 2.0) if top_k else (), LAYERS, top_k, half=half)
    built = build(request)
    facts = facts_of_config(teacher.config.to_dict(), head_tied=True)
    pairs = [(len(s), len(t)) for s, t in zip(rows.sources, rows.targets, strict=True)]
    on_disk = sum(file.stat().st_size for file in built.path.glob("*.bin"))
    assert on_disk == built.size == stored_bytes(request, facts, pairs)


def test_only_what_is_asked_is_stored(build: Any) -> None:
    assert set(SignalStore(build(SignalRequest(True)).path).gather([0])) == {"top_logits"}


def test_rows_with_other_tokens_are_refused(build: Any, rows: Any) -> None:
    store = SignalStore(build().path)
    with pytest.raises(ModelError, match="1 of 2 rows have no teacher signals"):
        store.rows_of([row_key(rows.sources[0], rows.targets[0]), row_key([3], [1])])


def test_other_weights_are_another_store(tmp_path: Path, tiny: Any, rows: Any) -> None:
    prints = []
    for seed in (5, 6):
        tiny(12, seed=seed).model.save_pretrained(tmp_path / str(seed))
        prints.append(fingerprint(tmp_path / str(seed)))
    assert prints[0] != prints[1]
    paths = {
        capture(tmp_path, weights, rows, REQUEST, lambda: tiny(12).model).path for weights in prints
    }
    assert len(paths) == 2


def test_a_killed_capture_goes_on_where_it_ended(build: Any, teacher: Any, rows: Any) -> None:
    class Killed(Exception):
        pass

    passes = iter(range(10))

    def dying(*_: Any) -> None:
        if next(passes) > 3:
            raise Killed

    hook = teacher.register_forward_pre_hook(dying)
    try:
        with pytest.raises(Killed):
            build()
    finally:
        hook.remove()
    again = build()
    assert 0 < again.computed < len(rows.examples)
    assert again.damaged == 0
    whole = SignalStore(again.path)
    shutil.rmtree(again.path)
    fresh = SignalStore(build().path)
    at = whole.rows_of(rows.keys())
    torch.testing.assert_close(
        whole.gather(at)["top_logits"], fresh.gather(at)["top_logits"], atol=1e-5, rtol=1e-5
    )


def test_damaged_values_are_found_and_computed_again(build: Any, rows: Any) -> None:
    built = build()
    file = built.path / "top_logits.bin"
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedStoreError):
        SignalStore(built.path)
    repaired = build()
    assert 0 < repaired.damaged == repaired.computed < len(rows.examples)
    assert SignalStore(repaired.path)
    assert build(model=unread).computed == 0


@pytest.mark.parametrize("name", ["rows.safetensors", "layout.json", "top_logits.bin"])
@pytest.mark.parametrize("cut", [0, 40, None])
def test_no_file_of_a_store_may_be_short_or_gone(build: Any, name: str, cut: int | None) -> None:
    file = build(SignalRequest(True)).path / name
    if cut is None:
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DamagedStoreError):
        SignalStore(file.parent)
    assert build(SignalRequest(True)).damaged > 0
    assert SignalStore(file.parent)


def test_a_store_copied_under_another_name_is_refused(build: Any, rows: Any) -> None:
    logits, states = build(SignalRequest(True)).path, build().path
    shutil.rmtree(states)
    shutil.copytree(logits, states)
    with pytest.raises(DamagedStoreError, match="copy of"):
        StoreFiles(states)
    assert build().computed == len(rows.examples)
    assert "hidden_states" in SignalStore(states).gather([0])


def test_states_too_large_for_float16_are_refused(build: Any, tiny: Any) -> None:
    model = tiny(12).model.eval()
    with torch.no_grad():
        model.shared.weight.mul_(1e6)
    with pytest.raises(ModelError, match="beyond float16"):
        build(SignalRequest(layers=LAYERS[:1], half=True), lambda: model)

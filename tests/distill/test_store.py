"""The store of teacher signals: what was computed is what is read, by key and not by order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
import torch

from kdsearch.distill.data import Collator, row_key
from kdsearch.distill.store import SignalStore, build_store, fingerprint
from kdsearch.errors import ModelError
from kdsearch.plugin import LayerSignal, Signal, SignalRequest

if TYPE_CHECKING:
    from pathlib import Path

STATES = [("decoder", 0), ("decoder", 2), ("encoder", 1)]
REQUEST = SignalRequest(
    True, layers=tuple(LayerSignal(Signal.HIDDEN_STATES, *state) for state in STATES)
)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: Any, tiny: Any) -> Any:
    folder = tmp_path_factory.mktemp("teacher")
    model = tiny(12, seed=5).model.eval()
    model.save_pretrained(folder)
    return folder, model


def test_a_batch_equals_the_teacher_run_on_it(teacher: Any, rows: Any, tmp_path: Path) -> None:
    folder, model = teacher
    store = SignalStore(build_store(tmp_path, folder, model, rows, REQUEST))
    taken = random.Random(1).sample(range(len(rows.examples)), 7)
    batch = Collator(0)(
        [{"input_ids": rows.sources[row], "labels": rows.targets[row]} for row in taken]
    )
    with torch.inference_mode():
        outputs = model(**batch, output_hidden_states=True)
    at = store.rows_of([row_key(rows.sources[row], rows.targets[row]) for row in taken])
    signals = store.gather(at)
    real = batch["labels"] != -100
    read = batch["attention_mask"].bool()
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


def test_a_store_is_computed_once(teacher: Any, rows: Any, tmp_path: Path) -> None:
    folder, model = teacher
    path = build_store(tmp_path, folder, model, rows, REQUEST)
    before = path.stat().st_mtime_ns
    assert build_store(tmp_path, folder, None, rows, REQUEST) == path  # type: ignore[arg-type]
    assert path.stat().st_mtime_ns == before


def test_only_what_is_asked_is_stored(teacher: Any, rows: Any, tmp_path: Path) -> None:
    folder, model = teacher
    logits = SignalStore(build_store(tmp_path, folder, model, rows, SignalRequest(True)))
    assert set(logits.gather([0])) == {"top_logits"}


def test_rows_with_other_tokens_are_refused(teacher: Any, rows: Any, tmp_path: Path) -> None:
    folder, model = teacher
    store = SignalStore(build_store(tmp_path, folder, model, rows, REQUEST))
    with pytest.raises(ModelError, match="1 of 2 rows have no teacher signals"):
        store.rows_of([row_key(rows.sources[0], rows.targets[0]), row_key([3], [1])])


def test_signals_of_another_teacher_are_refused(teacher: Any, rows: Any, tmp_path: Path) -> None:
    folder, model = teacher
    path = build_store(tmp_path, folder, model, rows, REQUEST)
    assert SignalStore(path, fingerprint(folder))
    with pytest.raises(ModelError, match="another teacher"):
        SignalStore(path, "0" * 64)

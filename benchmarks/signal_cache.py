"""What storing a teacher's signals costs: bytes, the time to build and the time to read.

    python -m benchmarks.signal_cache [--family t5] [--teacher MODEL FOLDER] [--rows 512]

Building is compared with bare forward passes over the same rows in the same batches, the head
computed at target positions alone; rounds alternate, and the fastest of each are
compared, as what other work on the machine has slowed least. Reading is one
batch of eight rows at a time, in random order.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from benchmarks.models import TEACHER, facts, made, parameters, rows_of
from kdsearch.distill.capture import MOST_ROWS, MOST_TOKENS, capture
from kdsearch.distill.loading import load_model
from kdsearch.distill.passes import collate, forward
from kdsearch.distill.store import SignalStore
from kdsearch.distill.supply import token_counts
from kdsearch.plugin import LayerSignal, Signal, SignalRequest
from kdsearch.spec.signals import stored_bytes

if TYPE_CHECKING:
    from kdsearch.distill.data import Rows

READ_BATCH = 8


class Cost(NamedTuple):
    """What one kind of store costs."""

    bytes_a_token: float
    """A target token."""
    build_seconds: float
    read_seconds: float
    """A batch of `READ_BATCH` rows."""


def requests(layers: int) -> dict[str, SignalRequest]:
    """Return what stores are compared, by name."""
    last = LayerSignal(Signal.HIDDEN_STATES, "decoder", layers)
    return {
        "logits, k = 16": SignalRequest(True, (1.0, 2.0), top_k=16),
        "logits, whole": SignalRequest(True),
        "states, float16": SignalRequest(layers=(last,), half=True),
        "k = 16 and states": SignalRequest(True, (1.0, 2.0), (last,), 16, half=True),
    }


def bare_seconds(model: Any, rows: Rows, *, states: bool) -> float:
    """Time forward passes over the rows, and nothing else."""
    model.train(False)
    causal = not model.config.is_encoder_decoder
    longest = len(rows.sources[0]) + len(rows.targets[0])
    size = max(1, min(MOST_ROWS, MOST_TOKENS // longest))
    started = time.perf_counter()
    with torch.inference_mode():
        for start in range(0, len(rows.sources), size):
            part = slice(start, start + size)
            batch = collate(rows.sources[part], rows.targets[part], 0, causal=causal)
            forward(model, batch, states=states)
    return time.perf_counter() - started


def built(model: Any, rows: Rows, request: SignalRequest) -> Cost:
    """Build one store and read it."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = capture(Path(folder), "teacher", rows, request, lambda: model)
        seconds = time.perf_counter() - started
        expected = stored_bytes(
            request, facts(model), token_counts(rows, causal=not model.config.is_encoder_decoder)
        )
        if done.size != expected:
            raise RuntimeError(f"{done.size} bytes are stored, and {expected} were planned")
        store = SignalStore(done.path)
        order = torch.randperm(len(rows.sources)).split(READ_BATCH)
        started = time.perf_counter()
        for batch in order:
            store.gather(batch.tolist())
        read = (time.perf_counter() - started) / len(order)
    return Cost(done.size / sum(map(len, rows.targets)), seconds, read)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--family", choices=["llama", "t5"], default="llama")
    parser.add_argument("--teacher", type=Path)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--source", type=int, default=48, help="tokens of a prompt")
    parser.add_argument("--target", type=int, default=2, help="tokens of an answer")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    model = load_model(options.teacher) if options.teacher else made(options.family, TEACHER)
    rows = rows_of(facts(model).vocabulary, options.rows, options.source, options.target)
    asked = requests(facts(model).layers)
    bare: dict[bool, list[float]] = {False: [], True: []}
    costs: dict[str, list[Cost]] = {name: [] for name in asked}
    for _ in range(options.rounds):
        for states, seconds in bare.items():
            seconds.append(bare_seconds(model, rows, states=states))
        for name, request in asked.items():
            costs[name].append(built(model, rows, request))
    print(
        f"{model.config.model_type}: {parameters(model):,} parameters, {options.rows} rows of "
        f"{options.source} + {options.target} tokens, {torch.get_num_threads()} threads"
    )
    for name, measured in costs.items():
        base = min(bare[bool(asked[name].layers)])
        build = min(cost.build_seconds for cost in measured)
        read = min(cost.read_seconds for cost in measured)
        print(
            f"{name:18} {measured[0].bytes_a_token:9,.0f} bytes a target token   built at "
            f"{base / build:.2f} of a bare pass   read in {1e6 * read:,.0f} us a batch"
        )


if __name__ == "__main__":
    main()

"""What answering costs next to bare forward passes over the same tokens in the same batches.

    python benchmarks/evaluate.py [MODEL FOLDER] [--items 64] [--rounds 5]

Three ways to answer: options of one token, options of several tokens, and greedy generation. The
bare passes read batches that are made before the clock starts, keep what the scores need of the
logits, and do nothing with it: no collating, log-softmax, choosing, decoding or looking for stops.
For options of several tokens they read every option with its prompt, which ours reads once; for
generation they read the prompts and then one token of each row at a time, from a cache. Rounds
alternate in one process and medians are compared: `throughput` is bare seconds over ours. Seconds
are the processor's, on one thread, so that other work on the machine shows less. Without a folder,
a small T5 and a small Llama are made from configurations.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from kdsearch.distill.data import Rows
from kdsearch.distill.evaluate import predict
from kdsearch.distill.loading import load_student
from kdsearch.distill.passes import batches, collate, forward, pad
from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.plugin import Example, Student
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.spec.models import Evaluation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SHORTEST, LONGEST = 24, 120
"""Tokens of a prompt: as those of aqua_rat, winogrande and financial_news, with a chat template."""
OPTIONS = 4
LONGEST_OPTION = 4
NEW_TOKENS = 16


class Domain:
    """All that generation asks of a domain."""

    max_new_tokens = NEW_TOKENS
    stop = ("\n\n",)


class Measured(NamedTuple):
    """Seconds of each round."""

    what: str
    bare: list[float]
    ours: list[float]

    @property
    def throughput(self) -> float:
        """Ours as a share of the bare passes'."""
        return statistics.median(self.bare) / statistics.median(self.ours)


def made_rows(vocabulary: int, count: int, longest: int, *, scored: bool = True) -> Rows:
    """Make random prompts of mixed lengths, each with options of up to `longest` tokens."""
    draw = random.Random(0)

    def ids(least: int, most: int) -> list[int]:
        return [draw.randrange(3, vocabulary) for _ in range(draw.randint(least, most))]

    return Rows(
        [Example(str(row), "", 0, choices=tuple("abcd")) for row in range(count)],
        [ids(SHORTEST, LONGEST) for _ in range(count)],
        [ids(1, 1) for _ in range(count)],
        [[ids(1, longest) for _ in range(OPTIONS)] for _ in range(count)],
        0,
        ["abcd"] * count,
        Evaluation(scoring="auto" if scored else "generate"),
    )


def option_passes(model: Any, rows: Rows) -> Callable[[], None]:
    """Return bare passes that score options: one a prompt where each is one token."""
    single = all(len(ids) == 1 for options in rows.choices for ids in options)
    pairs = [
        (source, ids)
        for source, options in zip(rows.sources, rows.choices, strict=True)
        for ids in (options[:1] if single else options)
    ]
    causal = not model.config.is_encoder_decoder
    made = [
        collate([pair[0] for pair in taken], [pair[1] for pair in taken], 0, causal=causal)
        for taken in batches(pairs, lambda pair: len(pair[0]) + len(pair[1]))
    ]
    made = [{name: ids.to(model.device) for name, ids in batch.items()} for batch in made]

    def run() -> None:
        for batch in made:
            forward(model, batch)

    return run


def generation_passes(model: Any, rows: Rows) -> Callable[[], None]:
    """Return bare passes that read prompts, then `NEW_TOKENS` - 1 tokens one by one."""
    made = [
        prompts([rows.sources[row] for row in taken], model.device)
        for taken in batches(range(len(rows.sources)), lambda row: len(rows.sources[row]))
    ]
    read = _read_both if model.config.is_encoder_decoder else _read_on

    def run() -> None:
        for ids, mask in made:
            for _ in read(model, ids, mask):
                pass

    return run


def prompts(sources: Sequence[Sequence[int]], device: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad prompts on the left, with their mask."""
    ids = pad([source[::-1] for source in sources], 0).flip(1)
    mask = pad([[1] * len(source) for source in sources], 0).flip(1)
    return ids.to(device), mask.to(device)


def _read_on(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> Iterator[None]:
    one = torch.ones_like(mask[:, :1])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    first = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        use_cache=True,
        logits_to_keep=1,
    )
    yield
    for step in range(1, NEW_TOKENS):
        mask = torch.cat([mask, one], dim=1)
        model(
            input_ids=ids[:, -1:],
            attention_mask=mask,
            position_ids=positions[:, -1:] + step,
            past_key_values=first.past_key_values,
            use_cache=True,
        )
        yield


def _read_both(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> Iterator[None]:
    cache, states = None, model.get_encoder()(input_ids=ids, attention_mask=mask)
    for _ in range(NEW_TOKENS):
        cache = model(
            encoder_outputs=states,
            attention_mask=mask,
            decoder_input_ids=ids[:, -1:],
            past_key_values=cache,
            use_cache=True,
        ).past_key_values
        yield


@torch.inference_mode()
def measure(what: str, student: Student, rows: Rows, rounds: int) -> Measured:
    """Time bare passes and answers in turn; the first round is left out."""
    domain: Any = Domain()
    scored = rows.scored(0)
    bare = (option_passes if scored else generation_passes)(student.model, rows)
    taken: list[tuple[float, float]] = []
    for _ in range(1 + rounds):
        taken.append(
            (
                seconds(bare),
                seconds(lambda: predict(student.model, student.tokenizer, rows, domain)),
            )
        )
    return Measured(what, *map(list, zip(*taken[1:], strict=True)))


def seconds(run: Callable[[], object]) -> float:
    """Return how long a call takes: without a GPU, the processor's time."""
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    started = clock()
    run()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def made_models() -> Iterator[tuple[str, Student]]:
    """Make a small model of each kind, that read bytes."""
    tokenizer = byte_tokenizer()
    size = ScratchSize(d_model=128, d_ff=512, layers=4, heads=4)
    t5 = random_model(scratch_model_config("t5", size, 8192), tokenizer, 0)
    yield "small T5", Student(t5.eval(), tokenizer)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=8192,
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        pad_token_id=0,
        eos_token_id=1,
    )
    yield "small Llama", Student(LlamaForCausalLM(config).eval(), tokenizer)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--items", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    models = [(asked.model.name, load_student(asked.model))] if asked.model else made_models()
    for name, student in models:
        vocabulary = min(len(student.tokenizer), student.model.config.vocab_size)
        if not asked.model:
            vocabulary = student.model.config.vocab_size
        for what, longest, scored in (
            ("options of one token", 1, True),
            (f"options of 1 to {LONGEST_OPTION} tokens", LONGEST_OPTION, True),
            (f"generation of {NEW_TOKENS} tokens", 1, False),
        ):
            rows = made_rows(vocabulary, asked.items, longest, scored=scored)
            found = measure(what, student, rows, asked.rounds)
            report(name, asked.items, found)


def report(name: str, items: int, found: Measured) -> None:
    """Print items a second, and the throughput next to the bare passes."""
    bare, ours = (items / statistics.median(each) for each in (found.bare, found.ours))
    print(
        f"{name}, {found.what}: bare {bare:.1f}, ours {ours:.1f} items a second, throughput "
        f"{found.throughput:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()

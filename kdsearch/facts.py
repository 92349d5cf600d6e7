"""What can be known of a model without torch.

Counts of stored models come from the safetensors header; counts of models that do not exist yet
come from one formula per family.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

Config = Mapping[str, Any]

BYTE_VOCABULARY = 259
"""Entries of the tokenizer for models from scratch whose domain brings none: padding, end, unknown
and the 256 bytes."""

BLACK_BOX = "black box"
"""The family of a teacher of which only answers are known."""

OTHER_TOKENIZERS = (
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
)
"""Files of tokenizers without a `tokenizer.json`; they are read when the model is loaded."""

LARGEST_HEADER = 100_000_000
"""Bytes; the safetensors library refuses longer headers too."""


class Heads(NamedTuple):
    """The self-attention of each layer of a model."""

    queries: int
    """How many heads."""
    keys: int
    """How many of keys and values: fewer where heads share them."""
    width: int
    """Of one."""

    @property
    def widths(self) -> tuple[int, int, int]:
        """Of all queries, of all keys and of all values of a token."""
        shared = self.keys * self.width
        return self.queries * self.width, shared, shared


@dataclass(frozen=True)
class ModelFacts:
    """The measures of one model."""

    path: str | None
    family: str
    config: Mapping[str, Any]
    parameters: int
    """0 of a black box, whose parameters nobody counts."""
    embedding_parameters: int
    """Of the input embedding table alone."""
    vocabulary: int
    layers: int
    hidden: int
    head_tied: bool
    tokens: int | None = None
    """How many entries of the vocabulary are tokens, where that is known to be fewer: the others
    pad the table (T5 has 32,128 entries for 32,100 tokens)."""

    @property
    def compute_parameters(self) -> int:
        """Parameters that multiply activations: a look-up does not, a tied head does."""
        return self.parameters - (0 if self.head_tied else self.embedding_parameters)

    @property
    def entries(self) -> int:
        """How many entries of the vocabulary say something."""
        return self.vocabulary if self.tokens is None else self.tokens

    @property
    def known_parameters(self) -> int | None:
        """The parameters, None of a black box."""
        return self.parameters or None

    @property
    def encoder_decoder(self) -> bool:
        """Whether the model reads its source by a separate encoder."""
        return self.family == "t5"

    @property
    def stacks(self) -> tuple[str, ...]:
        """Its stacks of layers by name."""
        return ("encoder", "decoder") if self.encoder_decoder else ("decoder",)

    @property
    def heads(self) -> Heads:
        """Its heads of attention.

        Raises:
            KeyError: If its configuration does not say it, as of a black box.
        """
        config = self.config
        if self.encoder_decoder:
            return Heads(config["num_heads"], config["num_heads"], config["d_kv"])
        heads = config["num_attention_heads"]
        width = config.get("head_dim") or config["hidden_size"] // heads
        return Heads(heads, config.get("num_key_value_heads") or heads, width)

    def depth(self, stack: str) -> int:
        """Return how many layers a stack has."""
        own = self.config.get("num_decoder_layers") if stack == "decoder" else None
        return own or self.layers


def _t5_parameters(config: Config, head_tied: bool) -> int:
    """Count T5's parameters (Raffel et al. 2020; layer norms have no bias)."""
    width, heads = config["d_model"], config["num_heads"]
    attention = 4 * width * heads * config["d_kv"] + width
    matrices = 3 if str(config.get("feed_forward_proj", "relu")).startswith("gated") else 2
    feed_forward = matrices * width * config["d_ff"] + width
    encoder_layers = config["num_layers"]
    decoder_layers = config.get("num_decoder_layers") or encoder_layers
    blocks = encoder_layers * (attention + feed_forward)
    blocks += decoder_layers * (2 * attention + feed_forward)
    biases = 2 * config.get("relative_attention_num_buckets", 32) * heads
    embeddings = config["vocab_size"] * width * (1 if head_tied else 2)
    return int(embeddings + blocks + biases + 2 * width)


def _llama_parameters(config: Config, head_tied: bool) -> int:
    """Count Llama's parameters (Touvron et al. 2023), with grouped key-value heads."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    head_width = config.get("head_dim") or width // heads
    groups = config.get("num_key_value_heads") or heads
    queries, keys = heads * head_width, groups * head_width
    attention = 2 * width * queries + 2 * width * keys
    if config.get("attention_bias"):
        attention += queries + 2 * keys + width
    feed_forward = 3 * width * config["intermediate_size"]
    if config.get("mlp_bias"):
        feed_forward += 2 * config["intermediate_size"] + width
    blocks = config["num_hidden_layers"] * (attention + feed_forward + 2 * width)
    embeddings = config["vocab_size"] * width * (1 if head_tied else 2)
    return int(embeddings + blocks + width)


FAMILIES: Mapping[str, Callable[[Config, bool], int]] = {
    "t5": _t5_parameters,
    "llama": _llama_parameters,
}
"""Families whose parameters can be counted from a configuration."""


def facts_of_config(config: Config, *, head_tied: bool, path: str | None = None) -> ModelFacts:
    """Return the facts of a model that need not exist yet.

    Args:
        config: As in a model folder's `config.json`; `model_type` names the family.
        head_tied: Whether the output head shares the embedding table.
        path: Where the model lies or will lie.

    Raises:
        ModelError: If the family has no formula.
    """
    family = str(config.get("model_type"))
    if family not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"cannot count parameters of family '{family}'; known: {known}")
    width = config["d_model"] if family == "t5" else config["hidden_size"]
    layers = config["num_layers"] if family == "t5" else config["num_hidden_layers"]
    return ModelFacts(
        path=path,
        family=family,
        config=config,
        parameters=FAMILIES[family](config, head_tied),
        embedding_parameters=config["vocab_size"] * width,
        vocabulary=config["vocab_size"],
        layers=layers,
        hidden=width,
        head_tied=head_tied,
    )


def black_box_facts(vocabulary: int) -> ModelFacts:
    """Return the facts of a teacher of which only answers are known: a vocabulary for students.

    It computes nothing and is nothing to compute with, so its other measures are 0.
    """
    return ModelFacts(
        path=None,
        family=BLACK_BOX,
        config={},
        parameters=0,
        embedding_parameters=0,
        vocabulary=vocabulary,
        layers=0,
        hidden=0,
        head_tied=True,
    )


def facts_of_folder(folder: Path) -> ModelFacts:
    """Return the facts of a stored model, counted from its safetensors headers.

    Raises:
        ModelError: If the folder is no model folder, or stores no safetensors.
    """
    if not (folder / "config.json").is_file():
        raise ModelError("no model folder: config.json is missing", where=str(folder))
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            "no model folder: it holds no .safetensors file",
            where=str(folder),
            fix="save the model with save_pretrained",
        )
    config = _json_of(folder / "config.json")
    shapes: dict[str, list[int]] = {}
    for file in weights:
        shapes |= _tensor_shapes(file)
    if "shared.weight" in shapes:  # T5 may store the shared table once for each stack
        for copy in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"):
            shapes.pop(copy, None)
    try:
        derived = facts_of_config(
            config, head_tied="lm_head.weight" not in shapes, path=str(folder)
        )
    except KeyError as error:
        raise ModelError(f"config.json lacks {error}", where=str(folder)) from error
    stored = sum(math.prod(shape) for shape in shapes.values())
    return ModelFacts(**{**vars(derived), "parameters": stored})


def vocabulary_of(tokenizer: Path) -> int:
    """Return how many embeddings a stored tokenizer needs: its highest token id, and one.

    Args:
        tokenizer: A `tokenizer.json`, or the folder that holds it.

    Raises:
        ModelError: If there is none, or it lists no tokens.
    """
    file = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    if not file.is_file():
        raise ModelError("no tokenizer: there is no such tokenizer.json", where=str(file))
    stored = _json_of(file)
    vocabulary = stored.get("model", {}).get("vocab", ())
    ids = list(vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary)))
    ids += [token["id"] for token in stored.get("added_tokens", ())]
    if not ids:
        raise ModelError("no tokenizer: it lists no tokens", where=str(file))
    return int(max(ids)) + 1


def check_tokenizer(folder: Path, embeddings: int) -> int | None:
    """Refuse a model folder without a tokenizer, or with one that cannot be its model's.

    Returns:
        How many tokens it has; None where no `tokenizer.json` says it.

    Raises:
        ModelError: If there is none, or its ids go beyond the model's embeddings.
    """
    if not (folder / "tokenizer.json").is_file():
        if any((folder / name).is_file() for name in OTHER_TOKENIZERS):
            return None
        raise ModelError(
            "the model folder holds no tokenizer",
            where=str(folder),
            fix="save its tokenizer beside it with save_pretrained",
        )
    entries = vocabulary_of(folder)
    if entries > embeddings:
        raise ModelError(
            f"the tokenizer has {entries:,} entries and the model {embeddings:,} embeddings",
            where=str(folder),
            fix="it belongs to another model: save the model's own beside it",
        )
    return entries


def same_tokenizer(one: Path, other: Path) -> bool:
    """Whether two model folders have a tokenizer that makes the same ids of every text.

    Of two encoder-decoders, what a tokenizer adds to a text does not count: kdsearch ends their
    prompts itself. An exported student's tokenizer does so too, its teacher's perhaps not.
    """
    files = [folder / "tokenizer.json" for folder in (one, other)]
    if not all(file.is_file() for file in files):
        return False
    first, second = map(_json_of, files)
    parts = ["model", "added_tokens", "normalizer", "pre_tokenizer"]
    if not (_is_t5(one) and _is_t5(other)):
        parts.append("post_processor")
    return all(first.get(part) == second.get(part) for part in parts)


def _is_t5(folder: Path) -> bool:
    file = folder / "config.json"
    return file.is_file() and _json_of(file).get("model_type") == "t5"


def _json_of(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf8"))
    except ValueError as error:
        raise ModelError(f"not valid JSON: {error}", where=str(file)) from error
    if not isinstance(content, dict):
        raise ModelError("not a JSON object", where=str(file))
    return content


def _tensor_shapes(file: Path) -> dict[str, list[int]]:
    """Read tensor shapes off a safetensors header (8-byte length, then JSON)."""
    with file.open("rb") as stream:
        head = stream.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 0 < length <= LARGEST_HEADER:
            raise ModelError("not a safetensors file", where=str(file))
        try:
            header = json.loads(stream.read(length))
        except ValueError as error:
            raise ModelError("its safetensors header is broken", where=str(file)) from error
    return {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"}

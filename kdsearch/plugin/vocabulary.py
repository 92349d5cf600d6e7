"""Trims a tokenizer to the tokens that some texts use, without torch.

The trimmed tokenizer segments these texts exactly as the whole one does, and still reads any other
text, in smaller pieces.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from kdsearch.errors import ModelError
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

TOKENIZER = "tokenizer"
"""The folder of a trimmed tokenizer."""

TEACHER_IDS = "teacher_ids.json"
"""The teacher's id of each of its tokens."""


@dataclass(frozen=True)
class Trimmed:
    """A tokenizer that keeps some tokens of another."""

    teacher_ids: tuple[int, ...]
    """Ascending: the place of each is its new id."""
    tokenizer: Mapping[str, Any]
    """The content of its `tokenizer.json`."""

    def write(self, teacher: Path, folder: Path) -> None:
        """Write a folder that `AutoTokenizer` loads, and the ids beside it.

        Args:
            teacher: The model folder whose tokenizer was trimmed.
            folder: Receives the folder `tokenizer`, and `teacher_ids.json`.
        """
        owned = Folder(folder)
        made = owned.root / TOKENIZER
        settings = _json_of(teacher / "tokenizer_config.json")
        for key in ("added_tokens_decoder", "auto_map", "tokenizer_file", "vocab_file"):
            settings.pop(key, None)
        # The class of one family would make its own vocabulary of the file.
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
        special = {**_json_of(teacher / "special_tokens_map.json"), **settings}
        for file, content in (
            (made / "tokenizer_config.json", special),
            (made / "tokenizer.json", self.tokenizer),
            (owned.root / TEACHER_IDS, list(self.teacher_ids)),
        ):
            owned.write(file, json.dumps(content, ensure_ascii=False))
        if (template := teacher / "chat_template.jinja").is_file():
            owned.write(made / template.name, template.read_text(encoding="utf8"))


def read_teacher_ids(folder: Path) -> tuple[int, ...]:
    """Return the ids that `Trimmed.write` wrote beside a tokenizer."""
    return tuple(json.loads((folder / TEACHER_IDS).read_text(encoding="utf8")))


def trim(folder: Path, texts: Iterable[str]) -> Trimmed:
    """Keep the tokens that texts use, all special ones, and those that any other text needs.

    Of byte-pair encoding (Sennrich et al. 2016) that is, besides: the tokens that are merged on the
    way to a used one, and every single byte, or every character where the tokenizer has no bytes.
    A merge stays where its parts and its result do; merges are applied by rank, so that the first
    one applicable is the same as before. Of a unigram model (Kudo 2018) it is every character: the
    likeliest segmentation is the likeliest still.

    Args:
        folder: A model folder with its `tokenizer.json`.
        texts: As they are given to the tokenizer.

    Raises:
        ModelError: If there is no `tokenizer.json`, or its kind cannot be trimmed.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(
            "vocabulary: domain trims a tokenizer.json, and there is none",
            where=str(folder),
            fix="save the teacher's tokenizer anew by save_pretrained, or use vocabulary: whole",
        )
    content = _json_of(file)
    vocabulary = _vocabulary(content["model"], file)
    kept = _used(file, texts) | {token["id"] for token in content.get("added_tokens", ())}
    kept |= _special(folder, content, vocabulary)
    if content["model"]["type"] == "BPE":
        kept |= _merged(content["model"], vocabulary, kept)
    kept |= _alphabet(content["model"], vocabulary)
    teacher_ids = tuple(sorted(kept))
    places = {old: new for new, old in enumerate(teacher_ids)}
    return Trimmed(teacher_ids, _renumbered(content, places))


def merge_path(token: str, ranks: Mapping[tuple[str, str], int]) -> set[str]:
    """Return every piece that byte-pair encoding makes on its way to a token."""
    parts = list(token)
    seen = set(parts)
    while len(parts) > 1:
        pairs = list(pairwise(parts))
        known = [pair for pair in pairs if pair in ranks]
        if not known:
            break
        at = pairs.index(min(known, key=ranks.__getitem__))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
        seen.add(parts[at])
    return seen


def _vocabulary(model: Mapping[str, Any], file: Path) -> dict[str, int]:
    """Return the id of each token of a model that can be trimmed."""
    kind = model.get("type")
    affixes = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    if kind == "BPE" and not affixes:
        return dict(model["vocab"])
    if kind == "Unigram":
        return {piece: place for place, (piece, _) in enumerate(model["vocab"])}
    what = f"{kind} with affixes" if kind == "BPE" else kind
    raise ModelError(
        f"vocabulary: domain trims tokenizers of the kinds BPE and Unigram, not {what}",
        where=str(file),
        fix="use vocabulary: whole",
    )


def _used(file: Path, texts: Iterable[str]) -> set[int]:
    """Return the ids that texts use, those that the tokenizer adds included."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return {each for encoded in tokenizer.encode_batch(list(texts)) for each in encoded.ids}


def _special(folder: Path, content: Mapping[str, Any], vocabulary: Mapping[str, int]) -> set[int]:
    """Return the ids of tokens that the folder's settings name, and of the unknown token."""
    model = content["model"]
    ids = {model["unk_id"]} if model.get("unk_id") is not None else set()
    names = [model.get("unk_token")]
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        for key, value in _json_of(folder / file).items():
            if key.endswith("_token"):
                names.append(value["content"] if isinstance(value, dict) else value)
    ids |= {vocabulary[name] for name in names if isinstance(name, str) and name in vocabulary}
    for file in ("config.json", "generation_config.json"):
        for key, value in _json_of(folder / file).items():
            if key.endswith("_token_id"):
                numbers = value if isinstance(value, list) else [value]
                ids |= {number for number in numbers if isinstance(number, int)}
    return ids


def _merged(model: Mapping[str, Any], vocabulary: Mapping[str, int], used: set[int]) -> set[int]:
    """Return the ids of tokens on the way to used ones."""
    ranks = {pair: rank for rank, pair in enumerate(map(_pair, model["merges"]))}
    names = {number: token for token, number in vocabulary.items()}
    paths = (merge_path(names[number], ranks) for number in used if number in names)
    return {vocabulary[piece] for path in paths for piece in path if piece in vocabulary}


def _alphabet(model: Mapping[str, Any], vocabulary: Mapping[str, int]) -> set[int]:
    """Return the ids of bytes, or of all characters where bytes are no fallback."""
    if model.get("byte_fallback"):
        return {vocabulary[name] for name in (f"<0x{byte:02X}>" for byte in range(256))}
    return {number for token, number in vocabulary.items() if len(token) == 1}


def _pair(merge: str | Sequence[str]) -> tuple[str, str]:
    """Return the parts of a merge, in either form of `tokenizer.json`."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second


def _renumbered(content: Mapping[str, Any], places: Mapping[int, int]) -> dict[str, Any]:
    """Return a `tokenizer.json` with the kept tokens alone, under their new ids."""
    model = dict(content["model"])
    if model["type"] == "BPE":
        vocabulary = {
            token: places[number] for token, number in model["vocab"].items() if number in places
        }
        model["vocab"] = dict(sorted(vocabulary.items(), key=lambda entry: entry[1]))
        model["merges"] = [
            merge
            for merge in model["merges"]
            if {*_pair(merge), "".join(_pair(merge))} <= vocabulary.keys()
        ]
    else:
        pieces = enumerate(model["vocab"])
        model["vocab"] = [piece for number, piece in pieces if number in places]
        if model.get("unk_id") is not None:
            model["unk_id"] = places[model["unk_id"]]
    added = [{**token, "id": places[token["id"]]} for token in content.get("added_tokens", ())]
    processor = _renumbered_processor(content.get("post_processor"), places)
    return {**content, "model": model, "added_tokens": added, "post_processor": processor}


def _renumbered_processor(processor: Any, places: Mapping[int, int]) -> Any:
    """Give the tokens that a post-processor adds their new ids."""
    if not isinstance(processor, dict):
        return processor
    changed = dict(processor)
    if isinstance(processor.get("special_tokens"), dict):
        changed["special_tokens"] = {
            name: {**token, "ids": [places[number] for number in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
    for key in ("sep", "cls"):
        if isinstance(processor.get(key), list):
            token, number = processor[key]
            changed[key] = [token, places[number]]
    if isinstance(processor.get("processors"), list):
        changed["processors"] = [
            _renumbered_processor(each, places) for each in processor["processors"]
        ]
    return changed


def _json_of(file: Path) -> dict[str, Any]:
    """Return a JSON object, empty where there is no such file."""
    if not file.is_file():
        return {}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf8"))
    return content

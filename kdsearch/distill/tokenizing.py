"""Loads tokenizers without torch, to see if models can read what they are asked.

A `tokenizer.json` of a kind that transformers reads as it stands is read by its own library; any
other is loaded by transformers, which here does without torch where it is not loaded yet.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from kdsearch.distill.loading import load_tokenizer
from kdsearch.tokens import SPECIAL, byte_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from transformers import PreTrainedTokenizerBase

AS_IT_STANDS = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes for which transformers takes the file as it stands; others build theirs from parts."""

KNOWN_SETTINGS = frozenset(
    {"tokenizer_class", "pad_token", "eos_token", "unk_token", "bos_token", "backend"}
    | {"clean_up_tokenization_spaces", "model_max_length", "is_local", "local_files_only"}
)
"""Of a `tokenizer_config.json`, what does not change the ids of a text."""

OTHER_FILES = ("config.json", "special_tokens_map.json", "added_tokens.json")
"""What else transformers reads where it is there."""

AT_IMPORT = {"TRANSFORMERS_NO_ADVISORY_WARNINGS": "1"}
"""Else transformers warns that torch is not there."""


class FileTokenizer:
    """A `tokenizer.json` as it stands; gives the ids that transformers gives.

    Args:
        tokenizer: The file's.
        eos_token_id: Ends prompts and answers.
    """

    chat_template = None

    def __init__(self, tokenizer: Tokenizer, eos_token_id: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer = tokenizer
        self.eos_token_id = eos_token_id

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """Return the `input_ids` of a text."""
        found = self.tokenizer.encode(text, add_special_tokens=add_special_tokens)
        return {"input_ids": found.ids}


def byte_backend() -> Tokenizer:
    """Return the tokenizer of single bytes: padding 0, end 1, unknown 2, then the 256 bytes."""
    tokenizer = Tokenizer(models.BPE(vocab=byte_tokens(), merges=[], unk_token=SPECIAL[2]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer


def light_tokenizer(folder: Path | None) -> FileTokenizer | None:
    """Return a tokenizer that needs no transformers, where it gives the same ids for sure.

    Args:
        folder: Of the tokenizer; None stands for that of single bytes.
    """
    if folder is None:
        return FileTokenizer(byte_backend(), SPECIAL.index("</s>"))
    file, settings_file = folder / "tokenizer.json", folder / "tokenizer_config.json"
    if not (file.is_file() and settings_file.is_file()):
        return None
    if any((folder / name).exists() for name in OTHER_FILES) or [*folder.glob("chat_template*")]:
        return None
    try:
        settings = json.loads(settings_file.read_text(encoding="utf8"))
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # tokenizers raises no other kind; transformers says what is wrong
        return None
    if settings.get("tokenizer_class") not in AS_IT_STANDS or settings.keys() - KNOWN_SETTINGS:
        return None
    named = {key: settings[key] for key in settings if key.endswith("_token")}
    plain = {
        token.content for token in tokenizer.get_added_tokens_decoder().values() if _plain(token)
    }
    if not {"eos_token", "pad_token"} <= named.keys() or any(
        not isinstance(token, str) or token not in plain for token in named.values()
    ):
        return None
    end = tokenizer.token_to_id(named["eos_token"])
    return None if end is None else FileTokenizer(tokenizer, end)


def _plain(token: Any) -> bool:
    """Whether transformers would add a special token just so."""
    other = token.normalized or token.lstrip or token.rstrip or token.single_word
    return bool(token.special and not other)


def load_without_torch(folder: Path) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a folder as `load_tokenizer` does, without torch.

    Importing transformers takes 1.2 s so, and 2.6 s with torch. It is forgotten afterwards: what is
    imported later finds torch.
    """
    with _torch_hidden():
        tokenizer = load_tokenizer(folder)
        tokenizer("a")  # what transformers imports when it is first asked
        if tokenizer.chat_template:
            sample = [{"role": "user", "content": "a"}]
            tokenizer.apply_chat_template(sample, tokenize=False, add_generation_prompt=True)
    return tokenizer


@contextmanager
def _torch_hidden() -> Iterator[None]:
    """Import transformers as if torch were not installed, unless one of them is loaded already."""
    if {"torch", "transformers"} & sys.modules.keys():
        yield
        return
    before = {name: os.environ.get(name) for name in AT_IMPORT}
    os.environ.update(AT_IMPORT)
    sys.modules["torch"] = None  # type: ignore[assignment]  # so that importing it fails
    try:
        yield
    finally:
        for name in [*sys.modules]:
            if name.partition(".")[0] in ("torch", "transformers"):
                del sys.modules[name]
        logging.getLogger("transformers").handlers.clear()  # it would add its own again
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

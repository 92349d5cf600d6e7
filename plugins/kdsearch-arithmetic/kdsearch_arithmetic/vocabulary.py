"""The word-level tokenizer of the problems: every word and every number is one token."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from kdsearch_arithmetic.problems import ITEMS, LARGEST, NAMES, WORDINGS

FOLDER = Path(__file__).parent / "tokenizer"
"""Where the package keeps it, ready for `AutoTokenizer.from_pretrained`."""

SPECIAL = ("<pad>", "</s>", "<unk>")
"""Ids 0, 1 and 2."""

WORD = r"\w+"


def words() -> list[str]:
    """Return every word that a problem or an answer can hold, in lower case."""
    templates = [text for texts in WORDINGS.values() for text in texts]
    plain = " ".join(re.sub(r"\{\w+\}", " ", text) for text in templates)
    singular = [item[:-1] for item in ITEMS]
    texts = [plain, *NAMES, *ITEMS, *singular, *map(str, range(LARGEST + 1))]
    return sorted({word.lower() for text in texts for word in re.findall(WORD, text)})


def build() -> Tokenizer:
    """Build the tokenizer; punctuation carries nothing and is dropped."""
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *words()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\W+"), behavior="removed")
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return tokenizer


def write(folder: Path) -> None:
    """Write the tokenizer as `save_pretrained` would, without transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    build().save(str(folder / "tokenizer.json"))
    names = dict(zip(("pad_token", "eos_token", "unk_token"), SPECIAL, strict=True))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names}
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)

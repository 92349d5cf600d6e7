"""The texts that a model is given for an example, before any tokenizer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kdsearch.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kdsearch.plugin.api import Domain, Example, Prompt
    from kdsearch.spec.models import PromptFormat


def prompt_text(prompt: Prompt) -> str:
    """Return a prompt as plain text; messages are joined by newlines."""
    if prompt.text is not None:
        return prompt.text
    return "\n".join(message["content"] for message in prompt.messages or ())


def answer_text(answer: str, *, continued: bool) -> str:
    """Return an answer as it is tokenised; one that continues a text begins with a space."""
    return f" {answer}" if continued else answer


def training_texts(
    examples: Sequence[Example],
    domain: Domain,
    options: Any,
    prompt_format: PromptFormat,
    teacher: Path,
    *,
    causal: bool,
) -> list[str]:
    """Return every prompt, target and option of examples as plain text, each once.

    Args:
        examples: Those to train on.
        domain: Formats them.
        options: The domain's.
        prompt_format: Must not lead to chat prompts.
        teacher: The folder whose tokenizer may have a chat template.
        causal: Whether prompt and answer make one sequence.

    Raises:
        SpecError: If the prompts are chats: only transformers renders their template.
    """
    chat = prompt_format.format == "chat"
    if chat or (prompt_format.format == "auto" and has_chat_template(teacher)):
        raise SpecError(
            "vocabulary: domain reads plain prompts, and these are chats",
            where="prompt.format",
            fix="set prompt: {format: plain}, or ladder.vocabulary: whole",
        )
    found: dict[str, None] = {}
    for example in examples:
        prompt = domain.format(example, options)
        answers = (answer_text(each, continued=causal) for each in (prompt.target, *prompt.choices))
        found |= dict.fromkeys([prompt_text(prompt), *answers])
    return list(found)


def has_chat_template(folder: Path) -> bool:
    """Whether a model folder's tokenizer brings a chat template."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    settings = folder / "tokenizer_config.json"
    return settings.is_file() and bool(
        json.loads(settings.read_text(encoding="utf8")).get("chat_template")
    )

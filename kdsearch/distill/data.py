"""Examples as token ids: formatting, length limits and padded batches.

A row's key is a hash of its token ids, so that whatever changes the tokens changes the key. Texts
become ids without torch, which is imported where batches are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import DataError, SpecError
from kdsearch.plugin.domain_calls import format_example
from kdsearch.spec.models import Evaluation
from kdsearch.texts import answer_text, prompt_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import datasets
    from transformers import PreTrainedTokenizerBase

    from kdsearch.distill.sources import Source
    from kdsearch.distill.tokenizing import FileTokenizer
    from kdsearch.plugin import Domain, Example, Prediction, Prompt
    from kdsearch.plugin.views import View
    from kdsearch.spec.models import PromptFormat


LONGEST_WORD = 20
"""Letters of a word that is kept whole or left out where a question is cut."""

FIRST_UNSPACED = "\u2e80"
"""From here on in Unicode lie scripts written without spaces, such as Chinese and Japanese."""


@dataclass(frozen=True)
class Rows:
    """Examples as a model reads them."""

    examples: Sequence[Example]
    sources: Sequence[Sequence[int]]
    """The prompt's token ids by example, ending with end-of-sequence."""
    targets: Sequence[Sequence[int]]
    """The answer's token ids by example, ending with end-of-sequence."""
    choices: Sequence[Sequence[Sequence[int]]]
    """By example and choice: the token ids to score; empty where the answer is free."""
    cut: int
    """How many questions were shortened to fit."""
    names: Sequence[Sequence[str]]
    """By example and choice: the strings whose tokens `choices` holds."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    """How the rows are answered."""
    taught: bool = False
    """Whether the targets are a teacher's answers."""

    def scored(self, row: int) -> bool:
        """Whether a row is answered by its best option, rather than by generation."""
        return self.evaluation.scoring != "generate" and bool(self.choices[row])

    @property
    def tokens(self) -> int:
        """Source and target tokens of all rows."""
        return sum(map(len, self.sources)) + sum(map(len, self.targets))

    @property
    def option_tokens(self) -> int:
        """Tokens of the passes that options take; none where each option is one token."""
        from kdsearch.distill.views import option_tokens

        return option_tokens(self.sources, self.choices)

    def only(self, place: int) -> Rows:
        """Return one row as rows of its own."""
        listed: dict[str, Any] = {
            entry.name: [values[place]]
            for entry in fields(self)
            if isinstance(values := getattr(self, entry.name), Sequence)
        }
        return replace(self, **listed)

    def keys(self, teacher_ids: Sequence[int] | None = None) -> list[bytes]:
        """Return the key of every row, for what is stored of it.

        Args:
            teacher_ids: The teacher's id of each token, where its tokens are numbered otherwise.
        """
        pairs = zip(self.sources, self.targets, strict=True)
        if teacher_ids is None:
            return [row_key(*pair) for pair in pairs]
        return [row_key(*([teacher_ids[each] for each in ids] for ids in pair)) for pair in pairs]

    def table(self, **columns: Sequence[Any]) -> datasets.Dataset:
        """Return the rows as a table of `input_ids`, `labels` and further columns."""
        import datasets

        return datasets.Dataset.from_dict(
            {"input_ids": self.sources, "labels": self.targets, **columns}
        )


def joined(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several sets as one."""
    return Rows(
        [example for rows in parts for example in rows.examples],
        [source for rows in parts for source in rows.sources],
        [target for rows in parts for target in rows.targets],
        [choices for rows in parts for choices in rows.choices],
        sum(rows.cut for rows in parts),
        [names for rows in parts for names in rows.names],
        parts[0].evaluation,
    )


def row_key(source: Sequence[int], target: Sequence[int]) -> bytes:
    """Hash the token ids of a row to 16 bytes."""
    text = f"{list(source)}|{list(target)}".encode()
    return hashlib.blake2b(text, digest_size=16).digest()


def encode(
    examples: Sequence[Example],
    domain: Domain,
    options: Any,
    tokenizer: PreTrainedTokenizerBase | FileTokenizer,
    prompt_format: PromptFormat,
    *,
    causal: bool = False,
    taught: Mapping[str, Prediction] | None = None,
    evaluation: Evaluation | None = None,
) -> Rows:
    """Format and tokenise examples.

    Args:
        examples: What to format.
        domain: Formats them.
        options: The domain's.
        tokenizer: The model's.
        prompt_format: Limits and chat template.
        causal: Whether prompt and answer make one sequence. Then the prompt has no end of sequence,
            and a plain answer begins with a space, as a word does in running text.
        taught: By id, the teacher's answers, where they take the place of the gold ones.
        evaluation: How the rows are answered; as the domain says unless given.

    Raises:
        DataError: If a prompt is longer than `prompt.max_tokens` and may not or cannot be cut, if
            two options of an example are the same tokens, or if options are to be scored and a
            prompt has none.
    """
    how = resolved(evaluation or Evaluation(), domain)
    encoder = Encoder(domain, options, tokenizer, prompt_format, causal=causal)
    sources, targets, choices, names = [], [], [], []
    for example in examples:
        source, prompt = encoder.source(example)
        sources.append(source)
        targets.append(encoder.answer(_target(prompt, taught[example.id] if taught else None)))
        choices.append(encoder.choices(example, prompt))
        names.append(prompt.choices)
        if how.scoring == "options" and not prompt.choices:
            raise DataError(
                f"{_named('the prompt', example)} gives no options to score",
                where=example.origin or f"domain {domain.name}",
                fix="set evaluation.scoring: generate",
            )
    return Rows(examples, sources, targets, choices, encoder.cut, names, how, bool(taught))


def resolved(evaluation: Evaluation, domain: Domain) -> Evaluation:
    """Put the domain's own wish in the place of `auto`, if it has one."""
    own = getattr(domain, "scoring", "auto")
    if evaluation.scoring != "auto" or own == "auto":
        return evaluation
    return evaluation.model_copy(update={"scoring": own})


def _target(prompt: Prompt, taught: Prediction | None) -> str:
    """Return the text to learn: the gold answer, or the teacher's in the prompt's own words."""
    if taught is None:
        return prompt.target
    if taught.choice is None or not prompt.choices:
        return taught.text
    return prompt.choices[taught.choice]


class Encoded(NamedTuple):
    """One prompt as token ids."""

    source: list[int]
    target: list[int]
    choices: list[list[int]]


class _Fitting(NamedTuple):
    """An example whose prompt is within the limit."""

    ids: list[int]
    prompt: Prompt
    example: Example


class Encoder:
    """Turns texts into token ids and keeps prompts within their limit."""

    def __init__(
        self,
        domain: Domain,
        options: Any,
        tokenizer: Any,
        prompt_format: PromptFormat,
        *,
        causal: bool,
    ) -> None:
        self.domain = domain
        self.options = options
        self.tokenizer = tokenizer
        self.format = prompt_format
        self.causal = causal
        self.chat = use_chat(tokenizer, prompt_format)
        self.cut = 0

    def answer(self, text: str) -> list[int]:
        """Return the ids of an answer with end-of-sequence."""
        spaced = answer_text(text, continued=self.causal and not self.chat)
        ids = self.tokenizer(spaced, add_special_tokens=False)["input_ids"]
        return [*ids, self.tokenizer.eos_token_id]

    def choices(self, example: Example, prompt: Prompt) -> list[list[int]]:
        """Return the ids to score for each option.

        The end of sequence is scored only where it tells an option from a longer one.
        """
        ended = [self.answer(choice) for choice in prompt.choices]
        if len({tuple(ids) for ids in ended}) < len(ended):
            raise DataError(
                f"{_named('two options', example)} are the same tokens: {list(prompt.choices)}",
                where=example.origin or f"domain {self.domain.name}",
                fix="answer by letter or integer",
            )
        bare = [ids[:-1] for ids in ended]
        nested = any(
            one is not other and other[: len(one)] == one for one in bare for other in bare
        )
        return ended if nested else bare

    def formatted(self, example: Example) -> Prompt:
        """Return an example's prompt; whatever the domain raises is told as its fault."""
        return format_example(self.domain, example, self.options)

    def messages(self, prompt: Prompt) -> list[Mapping[str, str]]:
        """Return a prompt as a chat."""
        return list(prompt.messages or ({"role": "user", "content": prompt_text(prompt)},))

    def text(self, prompt: Prompt) -> str:
        """Return a prompt as the tokenizer gets it; a chat as its template writes it."""
        if not self.chat:
            return prompt_text(prompt)
        return str(
            self.tokenizer.apply_chat_template(
                self.messages(prompt), tokenize=False, add_generation_prompt=True
            )
        )

    def prompt_ids(self, prompt: Prompt) -> list[int]:
        """Return the ids of a prompt.

        The end of an encoder-decoder's is added here and not by the tokenizer: some tokenizers add
        it and others do not, an export's does, and the ids are to be the same.
        """
        text = self.text(prompt)
        if self.causal and not self.chat:
            return list(self.tokenizer(text)["input_ids"])
        ids = list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
        return ids if self.chat else [*ids, self.tokenizer.eos_token_id]

    def view(self, view: View, example: Example) -> Encoded | None:
        """Return a view of an example; None where it has none.

        Its question is cut as the usual prompt's is; what the view adds comes on top.
        """
        prompt = view.prompt(self._fitting(example).example, self.formatted)
        if prompt is None:
            return None
        # A causal model predicts nothing after nothing.
        source = self.prompt_ids(prompt) or [self.tokenizer.eos_token_id]
        return Encoded(source, self.answer(prompt.target), self.choices(example, prompt))

    def source(self, example: Example) -> tuple[list[int], Prompt]:
        """Return the source ids of an example, its question cut if it must and may be."""
        found = self._fitting(example)
        self.cut += found.example is not example
        return found.ids, found.prompt

    def _fitting(self, example: Example) -> _Fitting:
        """Return an example with its prompt, as much of the question as fits."""
        prompt = self.formatted(example)
        ids = self.prompt_ids(prompt)
        if len(ids) <= self.format.max_tokens:
            return _Fitting(ids, prompt, example)
        if self.format.truncate == "question":
            fitting = self._shortened(example)
            if fitting is not None:
                return fitting
        advice, left = "raise prompt.max_tokens", " and nothing left to cut"
        if self.format.truncate == "error":
            advice, left = f"{advice} or set prompt.truncate: question", ""
        raise DataError(
            f"{_named('the prompt', example)} has {len(ids)} tokens{left}; "
            f"prompt.max_tokens is {self.format.max_tokens}",
            where=example.origin or f"domain {self.domain.name}",
            fix=advice,
        )

    def _shortened(self, example: Example) -> _Fitting | None:
        """Return an example with the most of its question that fits; None where nothing does.

        Whole words are kept, and of a next word that is written without spaces what fits of it.
        """
        words = example.question.split(" ")

        def of_words(count: int) -> Example:
            return replace(example, question=" ".join(words[:count]))

        def of_letters(count: int) -> Example:
            kept = " ".join([*words[:whole], words[whole][:count]])
            return replace(example, question=kept)

        whole, best = self._most(of_words, len(words))
        if _unspaced(words[whole]):
            best = self._most(of_letters, len(words[whole]))[1] or best
        return best

    def _most(self, shortened: Callable[[int], Example], count: int) -> tuple[int, _Fitting | None]:
        """Find by bisection the most parts that fit, fewer than `count`, which do not."""
        fits, best = 0, None
        while count - fits > 1:
            middle = (fits + count) // 2
            shorter = shortened(middle)
            prompt = self.formatted(shorter)
            ids = self.prompt_ids(prompt)
            if len(ids) <= self.format.max_tokens:
                fits, best = middle, _Fitting(ids, prompt, shorter)
            else:
                count = middle
        return fits, best


def _named(what: str, example: Example) -> str:
    """Name something of an example; by its id where no line of a file is known."""
    return what if example.origin else f"{what} of '{example.id}'"


def _unspaced(word: str) -> bool:
    """Whether a word may be cut anywhere: a long one such as a URL, or one of Chinese."""
    return len(word) > LONGEST_WORD or any(letter >= FIRST_UNSPACED for letter in word)


def use_chat(tokenizer: Any, prompt_format: PromptFormat) -> bool:
    """Whether prompts are chat messages; `auto` means so where the tokenizer has a template.

    Raises:
        SpecError: If chat is asked for and the tokenizer has no template.
    """
    able = bool(getattr(tokenizer, "chat_template", None))
    if prompt_format.format == "chat" and not able:
        raise SpecError(
            "the tokenizer has no chat template", where="prompt.format", fix="use plain or auto"
        )
    return able and prompt_format.format != "plain"


def by_length(rows: Rows) -> list[int]:
    """Return the row numbers, longest source first, so that batches waste little padding."""
    return sorted(range(len(rows.sources)), key=lambda row: -len(rows.sources[row]))


@dataclass(frozen=True)
class Collator:
    """Pads rows to a batch and adds the teacher's signals of these rows."""

    padding: int
    signals: Source | None = None
    causal: bool = False

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return a batch of `collate` and, by signal, `signals`.

        With signals, each row carries the columns of their source. A row may bring its `choices`,
        to be scored as `options`, the teacher's `choice_scores` of them, and the columns of
        `views`.
        """
        from kdsearch.distill.choices import collate_options, pad_scores
        from kdsearch.distill.passes import collate
        from kdsearch.distill.views import collate_views

        batch: dict[str, Any] = collate(
            [row["input_ids"] for row in rows],
            [row["labels"] for row in rows],
            self.padding,
            causal=self.causal,
        )
        if self.signals is not None:
            batch["signals"] = self.signals.of_batch(rows, batch)
        if "choice_scores" in rows[0]:
            given = pad_scores([row["choice_scores"] for row in rows])
            batch["signals"] = {**batch.get("signals", {}), "choice_scores": given}
        if views := collate_views(rows, self.padding, causal=self.causal):
            batch["views"] = views
        if "choices" in rows[0]:
            batch["options"] = collate_options(
                [row["input_ids"] for row in rows],
                [row["choices"] for row in rows],
                self.padding,
                causal=self.causal,
            )
        return batch

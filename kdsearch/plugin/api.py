"""What a plugin author implements: `Domain`, `Loss` and `Ladder`, and the records they exchange.

Nothing here imports torch; tensors and models appear only in annotations.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast, runtime_checkable

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from torch import Tensor, nn

    from kdsearch.facts import ModelFacts

API = 1
"""The contract's number; a plugin module states it as `KDSEARCH_API`."""


class Options(BaseModel):
    """Base of a plugin's own part of the spec: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Answer(StrEnum):
    """What kind of answer a domain asks for."""

    CHOICE = "choice"
    """One of the example's own options."""
    LABEL = "label"
    """One of the same few classes for every example."""
    TEXT = "text"
    """Free text."""
    NUMBER = "number"
    """A number, written as text."""


class Use(StrEnum):
    """What a domain's data suffice for."""

    SEARCH = "search"
    EVALUATE = "evaluate"
    """Too few items, or none to train on: evaluation only."""


class Signal(StrEnum):
    """What a loss may need from the teacher."""

    TOP_LOGITS = "top_logits"
    HIDDEN_STATES = "hidden_states"
    ATTENTION_RELATIONS = "attention_relations"
    """Of a layer of self-attention, counted from 1: queries, keys and values side by side, each of
    all heads, for each token that attends (`ModelFacts.heads` tells their widths)."""
    ATTENTION_SCORES = "attention_scores"
    """Of a layer of self-attention, counted from 1: how much each token attends to each, without
    mask and softmax; the last dimension is the heads."""
    SORTED_PROBABILITIES = "sorted_probabilities"
    """At each target token of its own, the largest probabilities of the next one in descending
    order, whatever they are of; 0 where there is no token. A teacher of other tokens has it too."""
    TEXT = "text"
    """Its own answers: they take the place of the gold ones as targets."""
    RATIONALE = "rationale"
    """Its reasons for its answers, as a file of answers may give them."""
    CHOICE_SCORES = "choice_scores"
    """The log-likelihood of each option."""


@dataclass(frozen=True)
class Example:
    """One item of a domain, before it is formatted."""

    id: str
    """Stable between loads: splits and caches hang on it."""
    question: str
    answer: str | int
    """A zero-based index into `choices` for choice and label domains, else text."""
    aliases: tuple[str, ...] = ()
    """Other texts that count as right."""
    choices: tuple[str, ...] = ()
    rationale: str | None = None
    group: str | None = None
    """The slice of the domain, for error analysis and balanced training."""
    unit: str | None = None
    """Items of one unit are not independent and stay in one split."""
    split: str | None = None
    """The official split, if the data have one."""
    origin: str | None = field(default=None, compare=False, repr=False)
    """Where it stands in the data, such as `train.csv:12`, for errors; no part of what it says."""

    @property
    def said(self) -> dict[str, Any]:
        """All that it says, its origin left out: what its hash is of, and what is written down."""
        names = (entry.name for entry in fields(self) if entry.name != "origin")
        return {name: getattr(self, name) for name in names}

    def place(self, domain: str) -> str:
        """Return its place for errors: its origin, else its domain and id."""
        return self.origin or f"domain '{domain}', example '{self.id}'"

    @property
    def correct(self) -> str:
        """The right answer in words."""
        return self.choices[self.answer] if isinstance(self.answer, int) else self.answer


@dataclass(frozen=True)
class Prompt:
    """An example as the model sees it: `text` or `messages`, and the target to answer."""

    target: str
    text: str | None = None
    messages: tuple[Mapping[str, str], ...] | None = None
    choices: tuple[str, ...] = ()
    """The strings to score, in the order of the example's choices."""


@dataclass(frozen=True)
class Prediction:
    """A model's answer to one example."""

    id: str
    text: str
    choice: int | None = None
    scores: tuple[float, ...] = ()
    """The log-likelihood of each choice, in the example's order."""
    rationale: str | None = None
    """The reasons given with it."""


@dataclass(frozen=True)
class Scores:
    """A domain's judgement of predictions."""

    per_item: Mapping[str, Sequence[float]]
    """For each metric a value in 0..1 an item, in the order of the predictions."""
    aggregates: Mapping[str, float] = field(default_factory=dict)
    """Figures that are not a mean over items, such as macro-F1."""


@runtime_checkable
class Domain(Protocol):
    """A dataset loader, a prompt formatter and a metric, by name and version.

    One whose prompts have options and whose answers are to be generated all the same says so by an
    attribute `scoring = "generate"`.

    One whose kind of answer hangs on its options says so by a method `with_options(options)`, which
    returns the domain that a spec with these options means; see `configured`.

    One whose questions are made from templates says so by an attribute `generated = True`: the
    near-duplicates among them are intended, and kept unless the spec drops them.

    One whose answers are classes may name them by a method `classes(options)`, so that new
    questions need not bring them.
    """

    @property
    def name(self) -> str:
        """What a spec calls it."""

    @property
    def version(self) -> str:
        """Raised whenever the same data would score otherwise."""

    @property
    def Options(self) -> type[BaseModel]:
        """Validates `domain.options` of the spec; paths are typed `pathlib.Path`."""

    @property
    def answer(self) -> Answer:
        """What kind of answer it asks for."""

    @property
    def use(self) -> Use:
        """What its data suffice for."""

    @property
    def metrics(self) -> Sequence[str]:
        """Metrics given an item at a time; the first is the primary one."""

    @property
    def aggregates(self) -> Sequence[str]:
        """Figures that are not a mean over items."""

    @property
    def max_new_tokens(self) -> int:
        """The longest answer to generate, for text and number domains."""

    @property
    def stop(self) -> Sequence[str]:
        """Texts at which a generated answer ends."""

    def load(self, options: Any) -> Iterable[Example]:
        """Yield every example of every official split.

        Raises:
            DataError: If a file is missing or a line is malformed, naming file and line.
        """

    def format(self, example: Example, options: Any) -> Prompt:
        """Turn an example into a prompt and its target."""

    def score(self, predictions: Sequence[Prediction], examples: Sequence[Example]) -> Scores:
        """Judge predictions; `examples[i]` is what `predictions[i]` answers.

        Any text may be answered. The right answer scores 1 and wrong ones less, each item by
        itself: `metric_sanity` checks this before a run.
        """


def configured(domain: Domain, options: Any) -> Domain:
    """Return what a domain is with its options: for most, itself."""
    with_options = getattr(domain, "with_options", None)
    return domain if with_options is None else cast("Domain", with_options(options))


class Shapes(NamedTuple):
    """The measures of the models that a loss connects."""

    student: ModelFacts
    teachers: tuple[ModelFacts, ...]
    option_shares: tuple[float, ...] = ()
    """Of the training questions with options: the share whose right one is the first, the second
    and so on."""


@dataclass(frozen=True)
class TopLogits:
    """A teacher's largest logits at the target positions."""

    logits: Tensor
    """(batch, targets, k), float32; unnormalised."""
    ids: Tensor | None = None
    """(batch, targets, k): vocabulary entries; None when k is the whole vocabulary in order."""
    log_tails: Mapping[float, Tensor] = field(default_factory=dict)
    """By temperature: (batch, targets), the log of the probability that the k leave out."""


@dataclass(frozen=True)
class ViewInputs:
    """What a student says of one view of a micro-batch's questions; see `plugin.views`."""

    rows: Tensor
    """(rows,): which examples of the micro-batch have it."""
    student_logits: Tensor
    """(rows, target, vocabulary): the prediction of each target token."""
    labels: Tensor
    """(rows, target): -100 where padded."""
    target_mask: Tensor
    """(rows, target): true at real target tokens."""
    choice_scores: Tensor | None
    """(rows, options), if options are scored and the view has them."""


@dataclass(frozen=True)
class LossInputs:
    """One micro-batch as a loss sees it.

    `batch` is examples, `source` and `target` are padded lengths in tokens.
    """

    student_logits: Tensor
    """(batch, target, vocabulary): the prediction *of* each target token."""
    labels: Tensor
    """(batch, target): token ids to learn, gold or the teacher's; -100 where padded."""
    target_mask: Tensor
    """(batch, target): true at real target tokens, read off the labels."""
    source_mask: Tensor
    """(batch, source): true at real source tokens."""
    read_mask: Tensor
    """(batch, read): true at all real tokens that attend to each other: an encoder's source, or a
    causal model's source and target without its last token."""
    student_hidden: Mapping[str, Sequence[Tensor]]
    """By stack (`encoder`, `decoder`), then by layer: (batch, tokens, width)."""
    signals: Mapping[str, Any]
    """By `Signal`: what the term's teacher said, or several as one: the mean of their probabilities
    at the term's own `temperature`. `top_logits` is a `TopLogits`; signals of layers
    are by stack, then by the teacher's layer: 0 the embeddings, L the last of L layers. So
    `signals["hidden_states"]["decoder"][L]` is (batch, target, width)."""
    window_counts: Mapping[str, Tensor]
    """`target_tokens`, `source_tokens`, `read_tokens`, `examples` of the whole accumulation
    window; of each view that any of its examples has, `NAME/target_tokens` and `NAME/examples`."""
    student_layer: Callable[[Signal, str, int], Tensor]
    """Returns what one of the student's layers says: of a kind of signal, a stack and a layer, in
    the form in which `signals` holds the teacher's. For losses that need this kind."""
    step: int
    total_steps: int
    choice_scores: Tensor | None = None
    """(batch, options): the student's log-likelihood of each option, -inf where there is none; only
    for losses that need the teacher's, or whose `Config` says `scores_options = True`."""
    views: Mapping[str, ViewInputs] = field(default_factory=dict)
    """By view that a loss asks for; a view that no example of the micro-batch has is not there."""


@runtime_checkable
class Loss(Protocol):
    """A named term of the objective."""

    @property
    def name(self) -> str:
        """What a spec calls it."""

    @property
    def version(self) -> str:
        """Raised whenever the same inputs would give another value."""

    @property
    def Config(self) -> type[BaseModel]:
        """Validates the term's part of the spec, its `weight` left out."""

    @property
    def needs(self) -> Collection[Signal]:
        """The teacher's signals that it reads.

        Where that depends on its options, a property `needs` of `Config` adds more; which layers
        and temperatures, a method `request` says: see `kdsearch.plugin.signals`. A method
        `warnings(teacher)` of `Config` lists what `plan` should say of its options; a method
        `check(shapes)` raises a `SpecError`, its `where` an option, for models that do not fit.

        A property `views` of `Config` asks for other ways to put each question to the student
        (`kdsearch.plugin.views`), `scores_options` for its scores of the options.
        """

    def build(self, config: Any, shapes: Shapes) -> nn.Module:
        """Return a module whose `forward(LossInputs)` is a scalar.

        The scalar is the sum over the micro-batch divided by the term's own window count, so that
        it does not change with the split into micro-batches.
        """


@dataclass(frozen=True)
class Size:
    """A member of a ladder, with exact counts."""

    name: str
    parameters: int
    embedding_parameters: int
    recipe: Mapping[str, Any]
    """What `Ladder.build` needs to make it; plain data."""
    head_tied: bool = True
    """Whether the output head shares the embedding table."""
    layers: int | None = None
    """The depth of each stack, where the ladder says it."""
    other_tokens: bool = False
    """Whether it reads or writes other tokens than the teacher, so that only answers compare."""

    config: Mapping[str, Any] | None = None
    """The model's configuration, as in `config.json`, where the ladder says it: losses are then
    checked against its measures before anything runs."""

    @property
    def compute_parameters(self) -> int:
        """Parameters that multiply activations: a look-up does not, a tied head does."""
        return self.parameters - (0 if self.head_tied else self.embedding_parameters)


class Student(NamedTuple):
    """A model ready to train, with its tokenizer."""

    model: Any
    tokenizer: Any


@runtime_checkable
class Ladder(Protocol):
    """A way to make students of several sizes.

    One that builds on the teacher's own weights says so by an attribute `needs_model = True`, and
    may be a `PreparedLadder` too. One whose options name files or models has a method `located` of
    its `Config` that returns them by absolute paths: workers run elsewhere. One whose sizes hang on
    the training texts has a property `reads_texts` of its `Config`; where that is true, `sizes` is
    given them as `texts`.
    """

    @property
    def name(self) -> str:
        """What a spec calls it."""

    @property
    def Config(self) -> type[BaseModel]:
        """Validates `ladder` of the spec, its `kind` left out."""

    def sizes(self, config: Any, teacher: ModelFacts) -> list[Size]:
        """Return the sizes with exact parameter counts, without importing torch."""

    def build(self, size: Size, config: Any, teacher: ModelFacts, seed: int) -> Student:
        """Build the untrained student of one size."""

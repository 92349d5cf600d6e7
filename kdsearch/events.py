"""What happens during a run, as frozen records.

The journal keeps them, the display prints them, the summary is read off them. `Event` subclasses
carry the fields of one kind of event; `Record` is an event with its place in the journal.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = 2
"""Of journal lines; those of 1 do not carry checksums."""

READABLE = (1, SCHEMA)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened, to the run, a size or a trial."""

    kinds: ClassVar[dict[str, type[Event]]] = {}

    size: str | None = None
    trial: str | None = None

    def __init_subclass__(cls) -> None:
        Event.kinds[event_name(cls)] = cls

    @property
    def name(self) -> str:
        """The name in the journal, such as `trial_started`."""
        return event_name(type(self))


def event_name(kind: type[Event]) -> str:
    """Return the journal's name of an event class: `TrialStarted` is `trial_started`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event):
    """A run began or was resumed."""

    run: str
    plan: Mapping[str, Any]
    """What the run is going to do: sizes, configurations, margin, planned costs."""
    resumed: bool = False
    id: str | None = None
    """Of the run, as in its manifest; None in journals of older versions."""
    retried: tuple[str, ...] = ()
    """Failed trials that are trained again, and failed audits (`TRIAL-audit`) that are repeated."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "retried", tuple(self.retried))


@dataclass(frozen=True, kw_only=True)
class TeacherReady(Event):
    """The teacher is fine-tuned, has answered dev, and its signals are stored."""

    model: str
    parameters: int | None
    score: float
    items: int
    chance: Mapping[str, float]
    """`majority_score`, `p_value` and, with choices, `uniform_score`."""
    informative: bool
    flops: Mapping[str, float]
    """`fine_tune`, `signals` and `evaluation`, in floating-point operations."""
    cut: Mapping[str, int] = field(default_factory=dict)
    """By split, the questions whose end was cut to fit `prompt.max_tokens`."""
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By label, of a search over several domains: `score`, `items` and the figures of chance."""
    signals: Mapping[str, Any] = field(default_factory=dict)
    """How trials get the teacher's signals: `mode`, `asked`, `bytes`, `max_bytes`; of a store also
    `rows` and how many were `computed` now, `damaged` ones among them. Empty if none need any."""
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name, the teachers beside the first: `parameters`, `score` on `items` of dev, `flops`; the
    event's own flops are those of all."""
    sensitive: bool = True
    """Whether a student that only guesses would be outside the margin."""
    sensitivity: Mapping[str, Any] = field(default_factory=dict)
    """What that was read off: see `search.sensitivity.Sensitivity`."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The digest of each file or folder that trials rely on, by its path in the run directory."""


@dataclass(frozen=True, kw_only=True)
class TrialStarted(Event):
    """A student began to train."""

    index: int | None
    """The configuration's index; None for the baseline."""
    seed: int
    config: Mapping[str, Any]
    without: str | None = None
    """The term left out, where the trial is an ablation and no part of the search."""


@dataclass(frozen=True, kw_only=True)
class TrialProgress(Event):
    """A student reported on its way."""

    step: int
    total_steps: int
    score: float | None = None
    """On dev, like the counts; of the best weights so far where only these are kept."""
    student_only: int | None = None
    teacher_only: int | None = None
    items: int | None = None
    paired: Mapping[str, float] | None = None
    """As in `TrialFinished`."""
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """As in `TrialFinished`."""
    losses: Mapping[str, float] = field(default_factory=dict)
    """The mean of each since the last report: `loss`, the objective, and `loss_TERM`."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """The same on examples held out of train; its `loss` is by the weights at the end."""
    sample: Mapping[str, Any] | None = None
    """A dev item with `question`, `correct`, `teacher`, `student`, `score` and `running`."""
    note: str | None = None
    """What the trial did beside training, such as a repair."""
    stage: int | None = None
    """Of several, the one that the student is in, from 0; steps count those of all."""
    phase: str | None = None
    """Beside training: answers to `dev`, `train` or `confirm`, `signals`, or `ladder`."""
    done: int | None = None
    """Rows of the phase behind it."""
    of: int | None = None
    """Rows of the phase in all."""


@dataclass(frozen=True, kw_only=True)
class TrialFinished(Event):
    """A student is trained and has answered dev."""

    index: int | None
    seed: int
    config: Mapping[str, Any]
    score: float
    student_only: int
    """Dev items that the student has right and the teacher wrong."""
    teacher_only: int
    items: int
    flops: Mapping[str, float]
    """`training`, `evaluation` and, of a teacher run beside it, `teacher`, in floating-point
    operations."""
    paired: Mapping[str, float] | None = None
    """`difference`, `deviation`, `items` of graded scores or whole units; else counts suffice."""
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By label, of a search over several domains: score, counts and `paired` of each alone."""
    untrained_score: float | None = None
    untrained_answers: Sequence[Sequence[Any]] = field(default_factory=list)
    """What it answered most before training: `[answer, times given, times right]`."""
    seconds: float = 0.0
    step: int = 0
    """The optimiser steps done, of `total_steps`; fewer where it stopped early."""
    total_steps: int = 0
    kept_step: int = 0
    """The step whose weights the student has."""
    ended: str = ""
    """Why it stopped early."""
    files: Mapping[str, str] = field(default_factory=dict)
    """As in `TeacherReady`: of its student and its answers to dev."""


@dataclass(frozen=True, kw_only=True)
class TrialRepaired(Event):
    """A finished trial whose files were damaged was trained again; decisions on dev stand."""

    reason: str
    """What was damaged."""
    score: float
    """On dev, now."""
    before: float
    """On dev, when it finished."""
    files: Mapping[str, str] = field(default_factory=dict)
    """As in `TrialFinished`: from now on."""
    flops: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrialStopped(Event):
    """A trial ended early: its size is decided or its case is futile."""

    index: int | None
    seed: int
    reason: str
    step: int = 0
    flops: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrialFailed(Event):
    """A trial raised or gave no finite loss; the search goes on without it."""

    index: int | None
    seed: int
    error: str
    """The last line of what went wrong."""
    flops: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SizeDecided(Event):
    """Dev settled a size, or confirm gave its verdict.

    A pass on dev carries the verdict `undecided`: only confirm can make it a match.
    """

    verdict: str
    decided_on: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ConfirmOpened(Event):
    """The sizes that confirm may test and the error share of each, before it is read."""

    sizes: tuple[str, ...]
    alphas: tuple[float, ...]
    """The share of each size, if none is left out: a size that fails on dev leaves its own to the
    larger ones."""
    fingerprint: str
    """A hash of the confirm items."""
    alpha: float | None = None
    """All that this opening may spend; None in journals of older versions."""
    look: int = 1
    """From 2 on, items were added for sizes that were undecided."""
    items: int | None = None
    """Confirm items in all from a second look on."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))
        object.__setattr__(self, "alphas", tuple(self.alphas))


@dataclass(frozen=True, kw_only=True)
class ConfirmChecked(Event):
    """The teacher's answers to confirm were compared with guessing and with its answers to dev.

    Written once, before the first `ConfirmTested`; journals of older versions do not have it.
    """

    score: float
    """The teacher's, on confirm."""
    items: int
    dev_score: float
    chance: Mapping[str, float]
    """On confirm, as in `TeacherReady`."""
    p_value: float
    """That the scores on dev and confirm differ by more than the margin; two-sided. Of several
    domains, the smallest."""
    reliable: bool
    reason: str = ""
    """What was found, where the data are not reliable."""
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By label, of a search over several domains: what is said here of each."""
    flops: Mapping[str, float] = field(default_factory=dict)
    """What answering confirm cost, where no test follows that says so."""
    files: Mapping[str, str] = field(default_factory=dict)
    """As in `TeacherReady`: of the teacher's answers to confirm."""


@dataclass(frozen=True, kw_only=True)
class ConfirmTested(Event):
    """One declared size was tested on confirm."""

    student_only: int
    teacher_only: int
    items: int
    """Or units, where items come in units; counts and scores are then of units too."""
    student_score: float
    """Over all seeds."""
    teacher_score: float
    difference: float
    lower_bound: float
    upper_bound: float
    p_value: float
    verdict: str
    flops: Mapping[str, float] = field(default_factory=dict)
    alpha: float | None = None
    """The share of the chance of a false match that this test spent; None in older journals."""
    level: float | None = None
    """At which it was tested: more than `alpha` where the same items were tested before."""
    look: int = 1
    """From 2 on, items were added since the size was first tested."""
    seeds: int = 1
    """1: this checkpoint was tested; 3 or more: its recipe, over so many fresh seeds."""
    in_units: bool = False
    """Whether items of one unit were averaged."""
    exploratory: bool = False
    """Tested outside what was declared before confirm was opened: no evidence."""
    domains: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By label, of a search over several domains: what is said here of each alone. Difference,
    bounds and p-value are then those of the one whose p-value is largest, `worst`; scores and
    counts are of all items."""
    worst: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    """As in `TeacherReady`: of the students' answers to confirm."""


@dataclass(frozen=True, kw_only=True)
class ModelAudited(Event):
    """A model was asked changed prompts on dev, and its errors were looked at; no size decides.

    Of the teacher, `size` and `trial` are None.
    """

    items: int = 0
    score: float | None = None
    """Of the metric that decides, on dev."""
    aggregates: Mapping[str, float] = field(default_factory=dict)
    """The domain's figures that are no mean over items, on dev."""
    aggregate_intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of each of them, two-sided, by a bootstrap."""
    histogram: tuple[tuple[str, int, int], ...] = ()
    """Answers, how often each is given and how often it is right, the most frequent first."""
    most_frequent: Mapping[str, Any] = field(default_factory=dict)
    """`answer`, `share` of the items on which it is given, `gold_share` on which it is right."""
    permuted: Mapping[str, Any] | None = None
    """With the options in other places: see `search.shortcuts.permuted_figures`."""
    not_permuted: str = ""
    """Why there is no `permuted`."""
    blanked: Mapping[str, Any] | None = None
    """Without the question: see `search.shortcuts.blanked_figures`."""
    not_blanked: str = ""
    """Why there is no `blanked`."""
    errors: Mapping[str, Any] | None = None
    """A student's beside its teacher's: see `search.mistakes.contrast`."""
    flops: Mapping[str, float] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """As in `TeacherReady`: of the items that it wrote down."""
    error: str = ""
    """Why the model could not be audited."""


@dataclass(frozen=True, kw_only=True)
class TermAblated(Event):
    """The student was compared on dev with its like, trained without a term of the objective."""

    term: str
    without: tuple[str, ...]
    """The trials without it, a seed each."""
    score: float
    """With the term, over all seeds."""
    score_without: float
    difference: float
    """With minus without."""
    lower_bound: float
    """One-sided, as the upper one; together for all terms."""
    upper_bound: float
    p_value: float
    """That the term does not help."""
    with_only: int
    """Items that the first seed has right only with the term."""
    without_only: int
    items: int
    """Or units, where items come in units."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "without", tuple(self.without))


@dataclass(frozen=True, kw_only=True)
class AblationSkipped(Event):
    """A term could not be left out."""

    term: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class RunFinished(Event):
    """The run has its answer."""

    outcome: str
    sentence: str
    """The answer in one sentence."""
    seconds: float = 0.0
    withheld: tuple[str, ...] = ()
    """What speaks against the match; by `--force` the outcome is a match all the same."""
    more_items: int | None = None
    """Confirm items that, added by `kdsearch confirm`, would probably decide."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "withheld", tuple(self.withheld))


@dataclass(frozen=True)
class Record:
    """An event with its place in the journal."""

    sequence: int
    time: float
    event: Event
    schema: int = field(default=SCHEMA, compare=False)
    """Of the line that it was read from."""

    def to_json(self) -> dict[str, Any]:
        """Return the journal's line as a dictionary."""
        head = {"schema": SCHEMA, "sequence": self.sequence, "time": self.time}
        return {**head, "event": self.event.name, **asdict(self.event)}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Record:
        """Read a journal line; fields that a newer version added are left out.

        Raises:
            ValueError: If the line is of an unknown schema or event.
        """
        if line.get("schema") not in READABLE or line.get("event") not in Event.kinds:
            raise ValueError(f"not a journal line of schema {SCHEMA}: event {line.get('event')!r}")
        kind = Event.kinds[line["event"]]
        known = {entry.name for entry in fields(kind)}
        values = {key: value for key, value in line.items() if key in known}
        return cls(line["sequence"], line["time"], kind(**values), line["schema"])

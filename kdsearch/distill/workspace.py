"""What the jobs of one run share in a process: spec, data, tokens and the places of files."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.distill.data import Rows, encode
from kdsearch.distill.evaluate import read_predictions
from kdsearch.distill.students import domain_tokenizer
from kdsearch.errors import DataError
from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.plugin import (
    Preparation,
    PreparedLadder,
    Signal,
    SignalRequest,
    Size,
    Student,
)
from kdsearch.plugin.host import Host
from kdsearch.predictions import Predictions
from kdsearch.sizes import texts_of
from kdsearch.spec.loading import Parts, load_spec, resolve_parts
from kdsearch.spec.objective import options_of
from kdsearch.spec.parts import ANSWER_SIGNALS, needs_of
from kdsearch.spec.signals import stage_request
from kdsearch.splits import Assigned, assign, load_examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.distill.sources import Source
    from kdsearch.plugin import Example, Prediction
    from kdsearch.spec.models import Settings

PREPARED = "prepared.json"
"""What came of the ladder's preparation."""


class Workspace:
    """A run directory opened for work.

    Args:
        run: The run directory, with `spec.yaml` and `manifest.json`.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.manifest = json.loads((run / "manifest.json").read_text(encoding="utf8"))
        self.host = Host(Path(file) for file in self.manifest["plugin_files"])
        self.spec = load_spec(run / "spec.yaml", self.host)
        self.source: Source | None = None
        """Of the teacher's signals, once a trial of this process has opened it."""
        self._rows: dict[tuple[Any, ...], Rows] = {}

    @property
    def teacher_root(self) -> Path:
        """Where the teacher's answers, signals and, if made here, weights lie."""
        return self.run / "teacher"

    @property
    def signal_folder(self) -> Path:
        """Where the teacher's signals lie."""
        shared = self.spec.cache.path
        return Path(shared) if shared else self.teacher_root / "signals"

    @property
    def signal_note(self) -> Path:
        """Where the teacher's job notes how trials get its signals."""
        return self.teacher_root / "signals.json"

    @property
    def ladder_folder(self) -> Path:
        """Where the ladder's preparation lies."""
        return self.teacher_root / "ladder"

    @cached_property
    def teacher_facts(self) -> ModelFacts:
        """The measures of the teacher; its path is made absolute."""
        facts = ModelFacts(**self.manifest["teacher"])
        return replace(facts, path=str(self.run / (facts.path or "teacher/model")))

    @property
    def teacher_folder(self) -> Path:
        """The model folder of the teacher, ready to answer."""
        return Path(str(self.teacher_facts.path))

    def trial_folder(self, trial: str) -> Path:
        """Where one trial keeps its model and answers."""
        return self.run / "trials" / trial

    @cached_property
    def parts(self) -> Parts:
        """The plugins that the spec names, with their validated options."""
        return resolve_parts(self.spec, self.host)

    def size(self, name: str) -> Size:
        """Return a size of the ladder as the plan counted it."""
        return Size(**next(size for size in self.manifest["sizes"] if size["name"] == name))

    def prepare_ladder(self, teacher: Student) -> int:
        """Let the ladder learn from the teacher what it builds with; return the tokens read."""
        ladder, config = self.parts.ladder, self.parts.ladder_config
        if not isinstance(ladder, PreparedLadder):
            return 0
        rows, texts, train = self.rows("train", teacher), list[str](), self.assigned.train
        if getattr(config, "reads_texts", False):
            texts = texts_of(self.spec, self.parts, self.teacher_facts, train)
        self.ladder_folder.mkdir(parents=True, exist_ok=True)
        given = Preparation(
            teacher.model, teacher.tokenizer, rows.sources, rows.targets, texts, self.ladder_folder
        )
        prepared = ladder.prepare(config, self.teacher_facts, given)
        found = json.dumps({"teacher_ids": prepared.teacher_ids})
        (self.ladder_folder / PREPARED).write_text(found, encoding="utf8")
        return prepared.tokens

    @cached_property
    def teacher_ids(self) -> tuple[int, ...] | None:
        """The teacher's id of each token of the students; None where they are the same.

        There once the ladder is prepared.
        """
        file = self.ladder_folder / PREPARED
        if not file.exists():
            return None
        found = json.loads(file.read_text(encoding="utf8"))["teacher_ids"]
        return None if found is None else tuple(found)

    def build(self, size: Size, seed: int) -> Student:
        """Build the untrained student of one size."""
        ladder = self.parts.ladder
        asked = (size, self.parts.ladder_config, self.teacher_facts, seed)
        if isinstance(ladder, PreparedLadder):
            return ladder.build(*asked, prepared=self.ladder_folder)
        return ladder.build(*asked)

    @cached_property
    def assigned(self) -> Assigned:
        """The examples of each split."""
        domain = self.parts.domain
        examples = load_examples(domain, self.parts.options)
        splits, seed = self.spec.stage.splits, self.spec.search.seed
        return assign(examples, splits, seed, domain=domain.name)

    def rows(self, split: str, reader: Student, *, taught: bool = False) -> Rows:
        """Return a split as a model reads it; the same tokenizer is asked once a process.

        Args:
            split: `train`, `dev` or `confirm`.
            reader: The model with its tokenizer.
            taught: Whether the teacher's answers stand in place of the gold ones, on train.
        """
        causal = not reader.model.config.is_encoder_decoder
        key = (split, reader.tokenizer.backend_tokenizer.to_str(), causal, taught)
        if key not in self._rows:
            examples = getattr(self.assigned, split)
            self._rows[key] = self.encoded(examples, reader, self.taught if taught else None)
        return self._rows[key]

    def encoded(
        self,
        examples: Sequence[Example],
        reader: Student,
        taught: Mapping[str, Prediction] | None = None,
    ) -> Rows:
        """Return any examples as a model reads them; see `encode`."""
        return encode(
            examples,
            self.parts.domain,
            self.parts.options,
            reader.tokenizer,
            self.spec.prompt,
            causal=not reader.model.config.is_encoder_decoder,
            taught=taught,
            evaluation=self.spec.evaluation,
        )

    def read_all(self, reader: Student) -> dict[str, int]:
        """Encode every split, so that what a model cannot read is told before it is trained.

        Returns:
            By split, how many questions were cut to fit.

        Raises:
            DataError: If a prompt is too long, or two options are the same to the model.
        """
        return {split: self.rows(split, reader).cut for split in Assigned._fields}

    @cached_property
    def given(self) -> Predictions | None:
        """All that is known of a teacher that is a black box; None of any other."""
        source = self.spec.stage.teachers[0].predictions
        return None if source is None else Predictions(Path(source))

    @property
    def taught_file(self) -> Path:
        """Where the teacher's answers to train lie, if a loss needs them."""
        return self.teacher_root / "train.jsonl"

    @cached_property
    def taught(self) -> dict[str, Prediction]:
        """The teacher's answers to train, by id; there once the teacher is prepared."""
        return {answer.id: answer for answer in read_predictions(self.taught_file)}

    def taught_scores(self, rows: Rows) -> list[Sequence[float]]:
        """Return the teacher's scores of the options of each row.

        Raises:
            DataError: If there are none: the domain's prompts give no options to score.
        """
        scores = [self.taught[example.id].scores for example in rows.examples]
        for example, known, choices in zip(rows.examples, scores, rows.choices, strict=True):
            if not choices or len(known) != len(choices):
                raise DataError(
                    f"the prompt of '{example.id}' gives no options that the teacher has scored",
                    where=f"domain {self.parts.domain.name}",
                    fix="leave out losses that need choice_scores",
                )
        return list(scores)

    def needs(self, settings: Settings) -> frozenset[Signal]:
        """Return the teacher's signals that a trial reads."""
        losses = (
            needs_of(self.host.loss(name), self.loss_config(name, options))
            for name, options in settings.losses.items()
        )
        return frozenset[Signal]().union(*losses)

    def loss_config(self, name: str, given: Mapping[str, Any]) -> Any:
        """Return a loss's validated options; its weight is none of them."""
        return self.host.loss(name).Config(**options_of(given))

    @property
    def stored_targets(self) -> list[bool]:
        """For whose answers the teacher's signals are stored: False gold, True its own."""
        kinds = (
            Signal.TEXT in needs
            for needs in self.parts.needs_by_configuration
            if needs - ANSWER_SIGNALS
        )
        return sorted(set(kinds))

    def scratch_tokenizer(self) -> Any:
        """Return the domain's own tokenizer, or the byte tokenizer where it has none."""
        return domain_tokenizer(self.parts.domain, self.parts.options)

    @cached_property
    def signal_request(self) -> SignalRequest:
        """All that the losses of the spec ask of the teacher."""
        depths = (self._depth(Size(**size)) for size in self.manifest["sizes"])
        request = stage_request(
            self.spec.stage, self.parts.losses, self.teacher_facts, depths, self.spec.cache
        )
        return replace(request, tokens=self.teacher_ids)

    def _depth(self, size: Size) -> int:
        """Return how many layers a student's stacks have; built to see where nothing says it."""
        if size.layers is not None:
            return size.layers
        student = self.build(size, 0)
        return facts_of_config(student.model.config.to_dict(), head_tied=size.head_tied).layers

"""What the jobs of one run share in a process: spec, data, tokens and the places of files."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.distill.consistency_checks import as_recorded
from kdsearch.distill.data import Encoder, Rows, encode
from kdsearch.distill.loading import load_tokenizer
from kdsearch.distill.phases import unheard
from kdsearch.distill.staff import OneTeacher, Staff
from kdsearch.distill.students import domain_tokenizer
from kdsearch.distill.views import Taught, view_columns
from kdsearch.errors import PluginError
from kdsearch.facts import ModelFacts, facts_of_config
from kdsearch.inputs.added_items import read_added
from kdsearch.plugin import Preparation, PreparedLadder, Signal, SignalRequest, Size, Student
from kdsearch.plugin.faults import PluginCall
from kdsearch.plugin.host import Host
from kdsearch.sizes import texts_of
from kdsearch.spec.loading import load_spec, resolve_parts
from kdsearch.spec.objective import options_of
from kdsearch.spec.parts import ANSWER_SIGNALS, needs_of, scores_options
from kdsearch.spec.signals import stage_requests
from kdsearch.spec.teachers import loss_of
from kdsearch.splits import Assigned, load
from kdsearch.stages import earlier_train
from kdsearch.storage import Folder, damaged_files, digest, read_sealed, sealed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.distill.phases import Progress
    from kdsearch.distill.sources import Source
    from kdsearch.plugin import Example, Prediction, View
    from kdsearch.predictions import Predictions
    from kdsearch.spec.settings import Settings
    from kdsearch.spec.teaching import Needs

PREPARED = "prepared.json"
"""What came of the ladder's preparation."""


class Workspace:
    """A run directory opened for work in the last stage; `at` is for work in an earlier one.

    Args:
        run: The run directory, with `spec.yaml` and `manifest.json`.
        last: The workspace of the last stage, if this is one of an earlier stage.
        place: Of the stage.
    """

    def __init__(self, run: Path, last: Workspace | None = None, place: int = -1) -> None:
        self.run = run
        self.files = Folder(run)
        """The one writer of what the jobs keep."""
        self.last = last or self
        self._is_last = last is None
        if last is None:
            self.manifest = read_sealed(run / "manifest.json", optional=True)
            self.host = Host(Path(file) for file in self.manifest["plugin_files"])
            self.whole = load_spec(run / "spec.yaml", self.host)
            self.whole_parts = resolve_parts(self.whole, self.host)
        else:
            self.manifest, self.host = last.manifest, last.host
            self.whole, self.whole_parts = last.whole, last.whole_parts
        self.place = place
        self.spec = self.whole.at(place)
        """The search as if this stage were all of it."""
        self.parts = (*self.whole_parts.earlier, self.whole_parts)[place]
        """The plugins that the stage names, with their validated options."""
        self._earlier: dict[int, Workspace] = {}
        self.sources: dict[str, Source] = {}
        """Of the signals of each teacher, once a trial of this process has opened it."""
        self._rows: dict[tuple[Any, ...], Rows] = {}
        self._views: list[tuple[Any, View, dict[str, list[Any]]]] = []

    def at(self, place: int) -> Workspace:
        """Return the workspace of an earlier stage, the same one each time."""
        if place not in self._earlier:
            self._earlier[place] = Workspace(self.run, self, place)
        return self._earlier[place]

    @property
    def earlier(self) -> list[Workspace]:
        """The workspaces of the stages before this last one."""
        return [self.at(place) for place in range(len(self.whole.stages) - 1)]

    @property
    def _home(self) -> Path:
        """Where what is known of the stage's teachers lies."""
        return self.run if self._is_last else self.files.path("stages", str(self.place))

    @property
    def teacher_root(self) -> Path:
        """Where the first teacher's answers, signals and, if made here, weights lie."""
        return self.files.path(self._home / "teacher")

    @property
    def signal_folder(self) -> Path:
        """Where the teacher's signals lie."""
        shared = self.spec.cache.path
        return Path(shared) if shared else self.files.path(self.teacher_root / "signals")

    @property
    def signal_note(self) -> Path:
        """Where the teacher's job notes how trials get its signals."""
        return self.teacher_root / "signals.json"

    @property
    def ladder_folder(self) -> Path:
        """Where the ladder's preparation lies."""
        return self.last.teacher_root / "ladder"

    @cached_property
    def teachers(self) -> dict[int, OneTeacher]:
        """By place: all that teach, and of the last stage the first, for comparison."""
        places = {*self.spec.stage.teaching} | ({0} if self._is_last else set())
        return {place: self._teacher(place) for place in sorted(places)}

    def _teacher(self, place: int) -> OneTeacher:
        stage = self.spec.stage
        name, known = stage.names[place], self.manifest
        if not self._is_last:
            known = self.manifest["stages"][self.place]
        root = self._home / "teachers" / name if place else self.teacher_root
        facts = ModelFacts(**(known["teachers"][name] if place else known["teacher"]))
        path = facts.path or str(root / "model")
        facts = replace(facts, path=str(self.run / path))
        needs = self.parts.needs_of(stage, place)
        return OneTeacher(name, stage.teachers[place], facts, root, needs)

    @cached_property
    def staff(self) -> Staff:
        """Those that teach."""
        stage = self.spec.stage
        teaching = [self.teachers[place] for place in stage.teaching]
        return Staff(stage, self.parts, teaching, self.spec.match.metric)

    @property
    def teacher_facts(self) -> ModelFacts:
        """The measures of the teacher that students take after; its path is absolute."""
        return self.last.teachers[0].facts

    @property
    def teacher_folder(self) -> Path:
        """The model folder of the first teacher, ready to answer."""
        return self.last.teachers[0].folder

    def load_teacher(self, name: str) -> Student:
        """Return one that teaches, on its device."""
        return self.staff[name].load()

    def reader(self) -> Student:
        """Return a model that reads rows as students do, but for a vocabulary of their own."""
        if self.last.given is None:
            return self.last.teachers[0].load()
        return self.build(self.size(self.manifest["sizes"][0]["name"]), self.spec.search.seed)

    def trial_folder(self, trial: str) -> Path:
        """Where one trial keeps its model and answers."""
        return self.files.path("trials", trial)

    def digests(self, *places: Path) -> dict[str, str]:
        """Return the digest of each file or folder by its path in the run directory."""
        return {str(place.relative_to(self.run)): digest(place) for place in places}

    def damaged(self, known: Mapping[str, str]) -> str:
        """Say which files are not what they were when their digests were taken; empty if none."""
        found = damaged_files(self.run, known)
        return "; ".join(f"{path}: {fault}" for path, fault in found.items())

    def recorded(self, place: Path, job: Mapping[str, Any]) -> bool:
        """Whether a job knows a file or folder of the run, and it is as it was."""
        path = str(place.relative_to(self.run)) if place.is_relative_to(self.run) else ""
        known = job.get("files", {})
        return path in known and not self.damaged({path: known[path]})

    def teacher_files(self) -> dict[str, str]:
        """Return the digests of all that trials read of the teachers and of the ladder."""
        found: list[Path] = [self.ladder_folder]
        for workspace in (*self.earlier, self):
            found.append(workspace.signal_note)
            for teacher in workspace.teachers.values():
                made = teacher.folder if teacher.folder.is_relative_to(self.run) else None
                found += [
                    teacher.root / "dev.jsonl",
                    teacher.taught_file,
                    *([made] if made else []),
                ]
        return self.digests(*(place for place in found if place.exists()))

    def size(self, name: str) -> Size:
        """Return a size of the ladder as the plan counted it."""
        return Size(**next(size for size in self.manifest["sizes"] if size["name"] == name))

    def prepare_ladder(self, teacher: Student, progress: Progress = unheard) -> int:
        """Let the ladder learn from the teacher what it builds with; return the tokens read."""
        ladder, config = self.parts.ladder, self.parts.ladder_config
        if not isinstance(ladder, PreparedLadder):
            return 0
        rows, texts = self.rows("train", teacher), list[str]()
        if getattr(config, "reads_texts", False):
            trains = [stage.assigned.train for stage in (*self.earlier, self)]
            texts = texts_of(self.spec, self.whole_parts, self.teacher_facts, trains)
        with self.files.fill(self.ladder_folder) as draft:
            read = rows.sources, rows.targets, texts
            given = Preparation(teacher.model, teacher.tokenizer, *read, draft, progress)
            with PluginCall(f"ladder '{ladder.name}'", "prepare", ends_only=True):
                prepared = ladder.prepare(config, self.teacher_facts, given)
            Folder(draft).write(PREPARED, sealed({"teacher_ids": prepared.teacher_ids}))
        return prepared.tokens

    @cached_property
    def teacher_ids(self) -> tuple[int, ...] | None:
        """The teacher's id of each token of the students; None where they are the same.

        There once the ladder is prepared.
        """
        file = self.ladder_folder / PREPARED
        if not file.exists():
            return None
        found = read_sealed(file, optional=True)["teacher_ids"]
        return None if found is None else tuple(found)

    def build(self, size: Size, seed: int) -> Student:
        """Build the untrained student of one size."""
        ladder = self.parts.ladder
        asked = (size, self.parts.ladder_config, self.teacher_facts, seed)
        with PluginCall(f"ladder '{ladder.name}'", "build", ends_only=True):
            if isinstance(ladder, PreparedLadder):
                return ladder.build(*asked, prepared=self.ladder_folder)
            return ladder.build(*asked)

    @cached_property
    def assigned(self) -> Assigned:
        """The examples of each split; of an earlier stage those to train on alone."""
        if not self._is_last:
            apart = earlier_train(self.whole, self.place, self.parts, self.last.assigned)
            own = Assigned(apart.train, (), ())
            return as_recorded(own, self.parts, self.manifest, f"stages.{self.place}.")
        splits, seed = self.spec.stage.splits, self.spec.search.seed
        found = load(self.parts.domain, self.parts.options).divide(splits, seed).splits
        return as_recorded(found, self.parts, self.manifest)

    def examples(self, split: str) -> Sequence[Example]:
        """Return the examples of a split.

        Args:
            split: `train`, `dev`, `confirm`, or `confirm-2` and so on: what a later look added.
        """
        if split in Assigned._fields:
            return tuple(getattr(self.assigned, split))
        return read_added(self.run, split)

    def rows(self, split: str, reader: Student, *, taught: bool = False) -> Rows:
        """Return a split as a model reads it; the same tokenizer is asked once a process.

        Args:
            split: As `examples` takes it.
            reader: The model with its tokenizer.
            taught: Whether the teacher's answers stand in place of the gold ones, on train.
        """
        causal = not reader.model.config.is_encoder_decoder
        key = (split, reader.tokenizer.backend_tokenizer.to_str(), causal, taught)
        if key not in self._rows:
            examples = self.examples(split)
            self._rows[key] = self.encoded(examples, reader, self.taught if taught else None)
        return self._rows[key]

    def own_rows(self, name: str, *, taught: bool) -> Rows:
        """Return train as one that teaches reads it, in its own tokens.

        Args:
            name: The teacher.
            taught: Whether the teachers' answers stand in place of the gold ones.
        """
        key = (name, taught)
        if key not in self._rows:
            teacher = self.staff[name]
            self._rows[key] = self._encoded(
                self.assigned.train,
                load_tokenizer(teacher.folder),
                self.taught if taught else None,
                not teacher.facts.encoder_decoder,
            )
        return self._rows[key]

    def encoded(
        self,
        examples: Sequence[Example],
        reader: Student,
        taught: Mapping[str, Prediction] | None = None,
    ) -> Rows:
        """Return any examples as a model reads them; see `encode`."""
        causal = not reader.model.config.is_encoder_decoder
        return self._encoded(examples, reader.tokenizer, taught, causal)

    def _encoded(
        self,
        examples: Sequence[Example],
        tokenizer: Any,
        taught: Mapping[str, Prediction] | None,
        causal: bool,
    ) -> Rows:
        asked = self.parts.domain, self.parts.options, tokenizer, self.spec.prompt
        scoring = self.spec.evaluation
        return encode(examples, *asked, causal=causal, taught=taught, evaluation=scoring)

    def read_all(self, reader: Student) -> dict[str, int]:
        """Encode every split, so that what a model cannot read is told before it is trained.

        Returns:
            By split, how many questions were cut to fit.

        Raises:
            DataError: If a prompt is too long, or two options are the same to the model.
        """
        splits = Assigned._fields if self._is_last else ("train",)
        return {split: self.rows(split, reader).cut for split in splits}

    @property
    def given(self) -> Predictions | None:
        """All that is known of a first teacher that is a black box; None of any other."""
        return self.teachers[0].given

    @cached_property
    def taught(self) -> Mapping[str, Prediction]:
        """The teachers' answers to train that take the place of the gold ones, by id."""
        stage, needs = self.spec.stage, self.parts.needs_by_term
        key = next(key for key, own in needs.items() if Signal.TEXT in own)
        names = [stage.names[place] for place in stage.readers(key)]
        return self.staff.taught(names, self.assigned.train)

    def needs(self, settings: Settings) -> dict[str, Needs]:
        """Return by term what a trial reads of teachers."""
        return {
            key: needs_of(self.host.loss(loss_of(key)), self.loss_config(key, options))
            for key, options in settings.losses.items()
        }

    def views(self, losses: Mapping[str, Mapping[str, Any]]) -> list[View]:
        """Return the views that losses ask for, each once.

        Args:
            losses: By term: its weight and options.

        Raises:
            PluginError: If two of one name differ.
        """
        found: dict[str, View] = {}
        for key, given in losses.items():
            config = self.loss_config(key, given)
            views = list(getattr(config, "views", ()))
            if Signal.RATIONALE in needs_of(self.host.loss(loss_of(key)), config):
                views = self._taught_views(key, views)
            for view in views:
                if found.setdefault(view.name, view) != view:
                    raise PluginError(f"two losses mean different views by '{view.name}'")
        return list(found.values())

    def _taught_views(self, key: str, views: Sequence[View]) -> list[View]:
        """Return views with the reasons of each teacher that a term reads."""
        stage, alone = self.spec.stage, len(self.staff.names) == 1
        names = [stage.names[place] for place in stage.readers(key)]
        return [
            Taught(view, view.name if alone else f"{view.name}@{name}", self.staff[name].taught)
            for view in views
            for name in names
        ]

    def scores_options(self, losses: Mapping[str, Mapping[str, Any]]) -> bool:
        """Whether any of some losses reads the student's scores of options."""
        return any(
            scores_options(self.host.loss(loss_of(name)), self.loss_config(name, given))
            for name, given in losses.items()
        )

    def view_columns(
        self, view: View, reader: Student, examples: Sequence[Example], *, scored: bool
    ) -> dict[str, list[Any]]:
        """Return what a table of train carries of a view; made once a process.

        Args:
            view: Which.
            reader: The student with its tokenizer.
            examples: All of train.
            scored: Whether options are scored.
        """
        causal = not reader.model.config.is_encoder_decoder
        key = (reader.tokenizer.backend_tokenizer.to_str(), causal, scored)
        for known, seen, columns in self._views:
            if (known, seen) == (key, view):
                return columns
        columns = view_columns(view, examples, self.encoder(reader), scored=scored)
        self._views.append((key, view, columns))
        return columns

    def encoder(self, reader: Student) -> Encoder:
        """Return what turns the domain's questions into tokens for a model."""
        return Encoder(
            self.parts.domain,
            self.parts.options,
            reader.tokenizer,
            self.spec.prompt,
            causal=not reader.model.config.is_encoder_decoder,
        )

    def loss_config(self, key: str, given: Mapping[str, Any]) -> Any:
        """Return a term's validated options; its weight is none of them."""
        return self.host.loss(loss_of(key)).Config(**options_of(given))

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
        """Return the last domain's own tokenizer, or the byte tokenizer where it has none."""
        return domain_tokenizer(self.whole_parts.domain, self.whole_parts.options)

    @cached_property
    def signal_requests(self) -> dict[str, SignalRequest]:
        """All that the losses of the spec ask, by teacher, or `TOGETHER` of all."""
        depths = (self._depth(Size(**size)) for size in self.manifest["sizes"])
        facts = {place: teacher.facts for place, teacher in self.teachers.items()}
        found = stage_requests(self.spec.stage, self.parts.losses, facts, depths, self.spec.cache)
        return {
            name: asked if asked.own_tokens else replace(asked, tokens=self.teacher_ids)
            for name, asked in found.items()
        }

    def _depth(self, size: Size) -> int:
        """Return how many layers a student's stacks have; built to see where nothing says it."""
        if size.layers is not None:
            return size.layers
        student = self.build(size, 0)
        return facts_of_config(student.model.config.to_dict(), head_tied=size.head_tied).layers

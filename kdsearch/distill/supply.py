"""How the signals of a run's teachers reach its trials: chosen and stored once, then opened.

The teacher's job chooses for all teachers and notes it in `teacher/signals.json`; trials follow.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.distill.capture import Captured, capture
from kdsearch.distill.data import Rows, joined
from kdsearch.distill.group import TeacherGroup
from kdsearch.distill.phases import unheard
from kdsearch.distill.sources import CachedSignals, OnlineSignals, OwnTokens, Source
from kdsearch.distill.store import DamagedStoreError, SignalStore
from kdsearch.model_folders import fingerprint
from kdsearch.spec.cache import CacheMode
from kdsearch.spec.signals import TOGETHER, stored_bytes
from kdsearch.storage import check_space, digest, read_sealed, sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from kdsearch.distill.phases import Progress
    from kdsearch.distill.workspace import Workspace
    from kdsearch.plugin import Student

    Load = Callable[[str], Student]
    """Returns a teacher by its name, on its device."""


class Provided(NamedTuple):
    """How trials get their signals, and what it took."""

    event: Mapping[str, Any]
    """`mode`, `asked`, `bytes`, `max_bytes`, and of stores `rows`, `computed`, `tokens` and
    `damaged` (see `Captured`), as the `teacher_ready` event holds them."""
    flops: float


def provide(
    workspace: Workspace, reader: Student, load: Load, progress: Progress = unheard
) -> Provided:
    """Choose how trials get their signals, and store them if they are to be stored.

    Args:
        workspace: The run.
        reader: Reads train as students do.
        load: Called for teachers that have something to say.
        progress: Told of the rows stored, of each store by itself.
    """
    cache, requests = workspace.spec.cache, workspace.signal_requests
    kinds = workspace.stored_targets
    rows = joined([workspace.rows("train", reader, taught=taught) for taught in kinds])
    read = {
        name: joined([workspace.own_rows(name, taught=taught) for taught in kinds])
        if asked.own_tokens
        else rows
        for name, asked in requests.items()
    }
    size = sum(_planned_bytes(workspace, name, own) for name, own in read.items())
    mode = cache.choose(size)
    event = {
        "mode": mode.value,
        "asked": cache.mode.value,
        "bytes": size,
        "max_bytes": cache.max_bytes,
    }
    stores, flops = dict[str, Any](), 0.0
    if mode is CacheMode.CACHED:
        if not workspace.signal_note.exists():  # else it is there, but for what was damaged
            check_space(workspace.signal_folder, size, "the store of signals")
        each = {name: _store(workspace, name, own, load, progress) for name, own in read.items()}
        stores = {name: done.path.name for name, done in each.items()}
        flops = sum(2.0 * _compute(workspace, name) * done.tokens for name, done in each.items())
        counts = [done._asdict() for done in each.values()]
        event |= {
            "bytes": sum(done["size"] for done in counts),
            **{
                key: sum(done[key] for done in counts)
                for key in ("rows", "computed", "tokens", "damaged")
            },
        }
    workspace.files.write(workspace.signal_note, sealed({"mode": mode.value, "stores": stores}))
    return Provided(event, flops)


def open_source(
    workspace: Workspace,
    name: str,
    load: Load,
    say: Callable[[str], None],
    progress: Progress = unheard,
) -> Source:
    """Open what the teacher's job has provided of a teacher, once a process.

    What has been damaged since is computed anew.

    Args:
        workspace: The run.
        name: The teacher, or `TOGETHER`.
        load: Called where a teacher is asked again.
        say: Told what had to be done.
        progress: Told of the rows computed anew.
    """
    if name not in workspace.sources:
        source = _opened(workspace, name, load, say, progress)
        if workspace.signal_requests[name].own_tokens:
            causal = not workspace.staff[name].facts.encoder_decoder
            source = OwnTokens(
                name, source, lambda taught: workspace.own_rows(name, taught=taught), causal=causal
            )
        workspace.sources[name] = source
    return workspace.sources[name]


def online(workspace: Workspace) -> bool:
    """Whether teachers run beside the students."""
    noted = read_sealed(workspace.signal_note, optional=True)
    return bool(noted["mode"] == CacheMode.ONLINE.value)


def _opened(
    workspace: Workspace,
    name: str,
    load: Load,
    say: Callable[[str], None],
    progress: Progress,
) -> Source:
    members = workspace.staff.names if name == TOGETHER else []
    if online(workspace):
        request = workspace.signal_requests[name]
        return OnlineSignals(_asked(workspace, name, load), request, members)
    column = "signal_row" if len(workspace.staff.names) == 1 else f"signal_row@{name}"
    try:
        return CachedSignals(SignalStore(_noted(workspace, name)), column, members)
    except DamagedStoreError as error:
        provided = provide(workspace, workspace.reader(), load, progress)
        path = _noted(workspace, name)
        say(f"teacher signals in {path}: {error}; {provided.event['computed']} rows computed anew")
        return CachedSignals(SignalStore(path), column, members)


def _noted(workspace: Workspace, name: str) -> Path:
    """Return the store that the teacher's job has noted.

    Raises:
        DamagedStoreError: If it has noted none.
    """
    noted = read_sealed(workspace.signal_note, optional=True)
    if name not in noted.get("stores", ()):
        raise DamagedStoreError("no store is noted")
    return workspace.signal_folder / str(noted["stores"][name])


def _asked(workspace: Workspace, name: str, load: Load) -> Any:
    """Return the model of a teacher, or the group of all that are asked together."""
    if name != TOGETHER:
        return load(name).model
    teachers = workspace.staff.teachers
    models = [load(teacher.name).model for teacher in teachers]
    return TeacherGroup(models, [teacher.spec.dtype.value for teacher in teachers])


def _store(workspace: Workspace, name: str, rows: Rows, load: Load, progress: Progress) -> Captured:
    staff = workspace.staff
    named = [name] if name != TOGETHER else staff.names
    prints = [_identity(staff[teacher].folder) for teacher in named]
    weights = (
        prints[0] if name != TOGETHER else hashlib.sha256(" ".join(prints).encode()).hexdigest()
    )
    request = workspace.signal_requests[name]
    return capture(
        workspace.signal_folder,
        weights,
        rows,
        request,
        lambda: _asked(workspace, name, load),
        progress=progress,
    )


def _identity(folder: Path) -> str:
    """Hash what a model says by: its weights, and how its configuration reads them."""
    told = f"{fingerprint(folder)} {digest(folder / 'config.json')}"
    return hashlib.sha256(told.encode()).hexdigest()


def _planned_bytes(workspace: Workspace, name: str, rows: Rows) -> int:
    staff, request = workspace.staff, workspace.signal_requests[name]
    facts = staff.teachers[0].facts if name == TOGETHER else staff[name].facts
    members = len(staff.names) if name == TOGETHER else 1
    counts = token_counts(rows, causal=not facts.encoder_decoder)
    return stored_bytes(request, facts, counts, members)


def _compute(workspace: Workspace, name: str) -> int:
    """Return the parameters that a token passes: of one teacher, or of all."""
    staff = workspace.staff
    asked = staff.teachers if name == TOGETHER else [staff[name]]
    return sum(teacher.facts.compute_parameters for teacher in asked)


def token_counts(rows: Rows, *, causal: bool) -> list[tuple[int, int]]:
    """Return how many tokens of each row a teacher reads and predicts."""
    return [
        (len(source) + len(target) - 1 if causal else len(source), len(target))
        for source, target in zip(rows.sources, rows.targets, strict=True)
    ]

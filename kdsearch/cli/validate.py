"""`kdsearch validate`: whether a spec is sound, without data, models or network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from kdsearch.cli.options import json_option, make_host, plugin_options, set_option, spec_argument
from kdsearch.cli.output import print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kdsearch.spec.loading import Loaded
    from kdsearch.spec.teachers import Teacher


@click.command()
@spec_argument
@set_option
@json_option
@plugin_options
def validate(
    spec_file: Path,
    overrides: tuple[str, ...],
    as_json: bool,
    plugin_files: tuple[Path, ...],
    strict: bool,
) -> None:
    """Check a spec, without data, model or network.

    With --json, print it with every default written out.
    """
    from kdsearch.spec.loading import load

    host = make_host(plugin_files, strict=strict)
    loaded = load(spec_file, host, overrides)
    if as_json:
        print_json({"valid": True, "spec": loaded.spec.model_dump(mode="json")})
        return
    say(f"{spec_file} is a valid spec\n")
    for label, line in _lines(loaded):
        say(f"{label:<9} {line}")  # plain: importing rich would take a tenth of the time


def _lines(loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Say what the spec asks for, a label and a line each."""
    spec, parts, _ = loaded
    stage, search, claim = spec.stage, spec.search, spec.match
    for place, before in enumerate(spec.stages[:-1]):
        options = _listed(before.domain.options)
        yield f"stage {place}", f"{before.domain.name}{options}, {', '.join(before.losses)}"
    options = _listed(stage.domain.options)
    yield "domain", f"{parts.domain.name} version {parts.domain.version}{options}"
    yield "splits", ", ".join(f"{name} {size}" for name, size in stage.splits)
    for source in stage.teachers:
        yield "teacher", _teacher(source, named=len(stage.teachers) > 1)
    if len(stage.teaching) > 1:
        yield "combine", stage.combine.value
    yield "ladder", f"{spec.ladder.kind}{_listed(spec.ladder.rest)}"
    for name, term in stage.losses.items():
        yield "loss", f"{name}{_listed(term.written)}"
    for path, space in spec.spaces.items():
        yield "searched", f"{path}{_listed(space.model_dump())}"
    configurations = f"{search.configurations_per_size} a size and its baseline"
    yield "search", f"{search.strategy}, {configurations}, seed {search.seed}"
    bar = f"margin {claim.margin}" if claim.margin is not None else f"retain {claim.retain}"
    yield "match", f"{claim.metric}, {bar}, confidence {claim.confidence}"


def _teacher(source: Teacher, *, named: bool) -> str:
    """Say what a teacher is, and among several its name and weight."""
    made = source.model or (source.run and f"student {source.size} of {source.run}")
    if source.predictions is not None:
        made = f"black box: {source.predictions}"
    if source.scratch is not None:
        made = f"scratch{_listed(source.scratch.model_dump())}"
    made = f"{made}, fine-tuned first" if source.fine_tune else str(made)
    name = f"{source.name}: " if source.name else ""
    return f"{name}{made}, weight {source.weight:g}" if named else made


def _listed(values: Mapping[str, Any]) -> str:
    given = {key: value for key, value in values.items() if value is not None}
    words = (f"{key} {_value(value)}" for key, value in given.items())
    return f": {', '.join(words)}" if given else ""


def _value(value: Any) -> str:
    from kdsearch.spec.space import Space

    if isinstance(value, Space):
        return "searched"
    if isinstance(value, dict):
        nested = any(isinstance(inner, dict) for inner in value.values())
        words = value if nested else [f"{key} {_value(inner)}" for key, inner in value.items()]
        return f"({', '.join(words)})"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

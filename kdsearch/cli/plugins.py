"""`kdsearch plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from kdsearch.cli.new import new
from kdsearch.cli.options import json_option, make_host, plugin_options
from kdsearch.cli.output import print_json, print_table, say
from kdsearch.errors import ExitCode, SpecError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from kdsearch.plugin.host import Host, Offer, Problem

KINDS = ("domain", "loss", "ladder")


@click.group(invoke_without_command=True)
@json_option
@plugin_options
@click.pass_context
def plugins(
    context: click.Context, as_json: bool, plugin_files: tuple[Path, ...], strict: bool
) -> None:
    """List what the plugins offer, show or check it."""
    if context.invoked_subcommand is not None:
        if as_json or plugin_files or strict:
            raise click.UsageError(f"options come after `plugins {context.invoked_subcommand}`")
    else:
        _list(make_host(plugin_files, strict=strict, quiet=as_json), as_json=as_json)


@plugins.command("list")
@json_option
@plugin_options
def list_all(as_json: bool, plugin_files: tuple[Path, ...], strict: bool) -> None:
    """List what the plugins offer, and their problems."""
    _list(make_host(plugin_files, strict=strict, quiet=as_json), as_json=as_json)


@plugins.command()
@click.argument("name")
@json_option
@plugin_options
def show(name: str, as_json: bool, plugin_files: tuple[Path, ...], strict: bool) -> None:
    """Show a domain, loss or ladder with its options."""
    host = make_host(plugin_files, strict=strict)
    named = [(kind, offers[name]) for kind, offers in _offers(host).items() if name in offers]
    if not named:
        known = [known for offers in _offers(host).values() for known in offers]
        raise SpecError(f"no plugin offers '{name}': {did_you_mean(name, known)}")
    if as_json:
        print_json([_shown(kind, offer) for kind, offer in named])
        return
    for kind, offer in named:
        _print_shown(_shown(kind, offer), _options_of(kind, offer.item))


@plugins.command()
@json_option
@plugin_options
def check(as_json: bool, plugin_files: tuple[Path, ...], strict: bool) -> int:
    """Tell every problem of the plugins; exit 3 if there is any."""
    host = make_host(plugin_files, strict=strict, quiet=True)
    if as_json:
        problems, slow = map(_problems, (host.problems, host.slow))
        print_json({"problems": problems, "slow": slow})
    else:
        for problem in host.problems:
            say(f"problem: {problem}")
        for problem in host.slow:
            say(f"slow: {problem}")
        sound = not host.problems
        say("all plugins are sound" if sound else f"problems: {len(host.problems)}")
    return ExitCode.PLUGIN if host.problems else ExitCode.MATCH


plugins.add_command(new)


class Row(NamedTuple):
    """One thing on offer."""

    kind: str
    name: str
    version: str
    plugin: str
    distribution: str


def _offers(host: Host) -> dict[str, Mapping[str, Offer[Any]]]:
    return dict(zip(KINDS, (host.domains, host.losses, host.ladders), strict=True))


def _rows(host: Host) -> Iterator[Row]:
    for kind, offers in _offers(host).items():
        for name, offer in sorted(offers.items()):
            source = offer.source
            version = str(getattr(offer.item, "version", source.version))
            yield Row(kind, name, version, source.plugin, source.distribution)


def _list(host: Host, *, as_json: bool) -> None:
    listed = list(_rows(host))
    if as_json:
        plurals = {"domain": "domains", "loss": "losses", "ladder": "ladders"}
        entries = [(row.kind, row._asdict()) for row in listed]
        for _, entry in entries:
            del entry["kind"]
        data: dict[str, Any] = {
            plural: [entry for kind, entry in entries if kind == singular]
            for singular, plural in plurals.items()
        }
        print_json(data | {"problems": _problems(host.problems)})
        return
    from kdsearch.report.drawing import Column, draw

    columns: list[Column[Row]] = [
        Column("kind", lambda row: row.kind),
        Column("name", lambda row: row.name),
        Column("version", lambda row: row.version),
        Column("plugin", lambda row: row.plugin),
        Column("distribution", lambda row: row.distribution, flexible=True),
    ]
    print_table(draw(columns, listed))


def _problems(problems: list[Problem]) -> list[dict[str, str]]:
    return [
        {
            "plugin": problem.source.plugin,
            "distribution": problem.source.distribution,
            "version": problem.source.version,
            "fault": problem.fault,
            "fix": problem.fix,
        }
        for problem in problems
    ]


def _options_of(kind: str, item: Any) -> type[BaseModel]:
    model: type[BaseModel] = item.Options if kind == "domain" else item.Config
    return model


def _shown(kind: str, offer: Offer[Any]) -> dict[str, Any]:
    """Return what there is to know about an offer.

    Raises:
        PluginError: If its options do not describe themselves.
    """
    from kdsearch.plugin.faults import PluginCall

    with PluginCall(f"{kind} '{offer.item.name}' of {offer.source}", "its options"):
        return _described(kind, offer)


def _described(kind: str, offer: Offer[Any]) -> dict[str, Any]:
    item, source = offer.item, offer.source
    facts: dict[str, Any] = {}
    if kind == "domain":
        facts = {
            "answer": str(item.answer),
            "use": str(item.use),
            "metrics": list(item.metrics),
            "aggregates": list(item.aggregates),
        }
        if hasattr(item, "with_options"):
            facts |= dict.fromkeys(("answer", "metrics", "aggregates"), "set by its options")
    elif kind == "loss":
        facts = {"needs": sorted(map(str, item.needs))}
    return {
        "kind": kind,
        "name": item.name,
        "version": str(getattr(item, "version", source.version)),
        "plugin": source.plugin,
        "distribution": source.distribution,
        **facts,
        "options": _options_of(kind, item).model_json_schema(),
    }


class Option(NamedTuple):
    """One key of a plugin's part of the spec."""

    key: str
    default: str
    description: str


def _print_shown(shown: Mapping[str, Any], options: type[BaseModel]) -> None:
    from rich.console import Group
    from rich.text import Text

    from kdsearch.report.drawing import Column, draw, labelled

    lines = [
        (label, ", ".join(value) if isinstance(value, list) else str(value))
        for label, value in shown.items()
        if label not in ("kind", "name", "options")
    ]
    listed = [
        Option(
            str(field.alias or key),
            "required"
            if field.is_required()
            else str(field.get_default(call_default_factory=True)),
            field.description or "",
        )
        for key, field in options.model_fields.items()
    ]
    columns: list[Column[Option]] = [
        Column("option", lambda row: row.key),
        Column("default", lambda row: row.default),
        Column("meaning", lambda row: row.description, flexible=True),
    ]
    title = Text(f"{shown['kind']} {shown['name']}", style="bold")
    print_table(Group(title, labelled(lines)))
    if listed:
        print_table(Group(Text(), draw(columns, listed)))

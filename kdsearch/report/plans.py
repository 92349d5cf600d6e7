"""The table of a plan: what a spec is going to do, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group
from rich.text import Text

from kdsearch.plugin.texts import shortened
from kdsearch.report import numbers, rows
from kdsearch.report.drawing import Column, Fitting, draw, labelled
from kdsearch.report.trials import settings_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

SHOWN_CONFIGURATIONS = 5
"""Configurations written out; the rest are counted."""


class PlanRow(NamedTuple):
    """The teacher, or a size of the ladder."""

    name: str
    parameters: int | None
    """None of a black box."""
    embedding_parameters: int | None
    share: float | None
    """Of the teacher's parameters."""
    trial_flops: float | None
    """Training FLOPs of one trial."""
    share_of_grid: float | None
    """Of the training of all sizes, that of all trials of this one."""


def plan_rows(plan: Mapping[str, Any]) -> list[PlanRow]:
    """Return the teacher's row, then the sizes, the largest first."""
    teacher, sizes = plan["teacher"], plan["sizes"]
    whole = sum(size["trial_flops"] for size in sizes)
    listed = [
        PlanRow(
            name=size["size"],
            parameters=size["parameters"],
            embedding_parameters=size["embedding_parameters"],
            share=size["share_of_teacher"],
            trial_flops=size["trial_flops"],
            share_of_grid=size["trial_flops"] / whole if whole else None,
        )
        for size in sorted(sizes, key=lambda size: -int(size["parameters"]))
    ]
    return [PlanRow("teacher", teacher["parameters"], None, None, None, None), *listed]


def plan_table(plan: Mapping[str, Any]) -> RenderableType:
    """Return what a spec is going to do: sizes with exact counts, trials, cost, margins.

    Args:
        plan: As `kdsearch plan --json` prints it.
    """
    every: list[Column[PlanRow]] = [
        Column("size", lambda row: row.name),
        Column("parameters", lambda row: _count(row.parameters), "right"),
        Column("of which\nembeddings", lambda row: _count(row.embedding_parameters), "right"),
        Column("of\nteacher", lambda row: numbers.percent(row.share), "right"),
        Column("FLOPs\na trial", _flops, "right"),
        Column("of\ngrid", lambda row: numbers.percent(row.share_of_grid), "right"),
    ]
    narrow = [column for column in every if not column.heading.startswith("of which")]
    layouts = [draw(columns, plan_rows(plan), rule_after=1) for columns in (every, narrow)]
    title = Text(rows.title(plan["name"], plan["match"]), style="bold")
    return Group(title, Text(), Fitting(layouts), Text(), labelled(plan_lines(plan)))


def _count(parameters: int | None) -> str:
    return numbers.NONE if parameters is None else f"{parameters:,}"


def _flops(row: PlanRow) -> str:
    return numbers.NONE if row.trial_flops is None else numbers.flops(row.trial_flops)


def plan_lines(plan: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return labelled lines: trials, configurations, cost, items and their margins, warnings."""
    teacher = plan["teacher"]
    lines = [("teacher", teacher["name"])] if teacher["parameters"] is None else []
    lines += [("teachers", _teachers(plan))] if plan.get("teachers") else []
    lines += [
        (f"stage {place}", _stage(stage)) for place, stage in enumerate(plan.get("stages", ()))
    ]
    lines += [("trials", _trials(plan)), ("cost", _cost(plan["cost"]))]
    if plan.get("ablate"):
        lines.append(("ablation", _ablations(plan)))
    lines += [("signals", _signals(plan["signals"]))] if plan.get("signals") else []
    lines += [("disk", _disk(plan["disk"]))] if plan.get("disk") else []
    lines += _data(plan["data"]) if plan.get("data") else []
    lines += [("train", f"{numbers.known(plan['splits']['train'])} items")]
    lines += [(split, _margins(plan, split)) for split in ("dev", "confirm")]
    drawn = plan["configurations"]
    for index, configuration in enumerate(drawn[:SHOWN_CONFIGURATIONS]):
        lines.append((f"c{index}", settings_text(configuration) or _unsearched(plan)))
    if len(drawn) > SHOWN_CONFIGURATIONS:
        lines.append(("", f"and {len(drawn) - SHOWN_CONFIGURATIONS} more configurations"))
    return lines + [("warning", line) for line in plan["warnings"]]


def _disk(disk: Mapping[str, Any]) -> str:
    """Say what the run will take at most; the signals' own line tells theirs."""
    kept = numbers.size(disk["teachers"] + disk["students"])
    training = numbers.size(disk["trial"])
    return f"at most {kept} of models, and {training} beside each trial that is training"


def _data(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tell what became of the loaded rows, with some of the near-duplicates."""
    examples = [
        f"{near['dropped']} {shortened(near['question'])} is {numbers.percent(near['similarity'])} "
        f"the same as {near['kept']} of {near['split']}"
        for near in data.get("near_examples", ())
    ]
    return [("data", rows.data_line(data)), *(("dropped", line) for line in examples)]


def _teachers(plan: Mapping[str, Any]) -> str:
    """Say who teaches; students are compared with the first alone."""
    words = []
    for place, teacher in enumerate(plan["teachers"]):
        notes = [] if place else ["students are compared with it"]
        if teacher["weight"] == 0:
            notes.append("does not teach")
        elif teacher["weight"] != 1:
            notes.append(f"weight {teacher['weight']:g}")
        words.append(f"{teacher['name']} ({', '.join(notes)})" if notes else teacher["name"])
    several = sum(teacher["weight"] > 0 for teacher in plan["teachers"]) > 1
    combined = f"; combined by {plan['combine']}" if several else ""
    return f"{', '.join(words)}{combined}".replace("combined by separate", "a term each")


def _stage(stage: Mapping[str, Any]) -> str:
    """Say what a student goes through in one stage of several."""
    items = numbers.known(stage["train"])
    steps = "" if stage["steps"] is None else f", {stage['steps']:,} steps"
    names = ", ".join(teacher["model"] for teacher in stage["teachers"] if teacher["weight"])
    taught = f" by {names}" if names else ""
    return f"{stage['domain']}: {items} training items{steps}, {', '.join(stage['losses'])}{taught}"


def _unsearched(plan: Mapping[str, Any]) -> str:
    """Say what a configuration without values is."""
    if plan.get("sampler") == "tpe" and plan["configurations"][0]:
        return "suggested by tpe once the ones above have ended"
    return "as in the spec"


def _trials(plan: Mapping[str, Any]) -> str:
    count = len(plan["configurations"])
    sizes = numbers.noun(len(plan["sizes"]), "size")
    each = f"baseline and {numbers.noun(count, 'configuration')} at each of {sizes}"
    if (seeds := plan["match"].get("seeds", 1)) > 1:
        each += f", and {seeds - 1} further seeds of a configuration that confirm tests"
    visits = f"{plan['strategy']} visits about {plan['cost']['expected_sizes_visited']:.1f}"
    steps = "" if plan["steps"] is None else f", {plan['steps']:,} steps"
    return f"{plan['trials']} at most{steps}: {each}; {visits}"


def _ablations(plan: Mapping[str, Any]) -> str:
    terms, seeds = plan["ablate"], plan["match"].get("seeds", 1)
    trials = numbers.noun(len(terms) * seeds, "further trial")
    flops = numbers.flops(plan["cost"]["ablation_flops"])
    return (
        f"{trials} of the selected size, without {_either(terms)}, at most {flops} training FLOPs"
    )


def _cost(cost: Mapping[str, float]) -> str:
    return (
        f"about {numbers.percent(cost['expected_share_of_grid'])} of the exhaustive grid's "
        f"{numbers.flops(cost['exhaustive_grid_flops'])} training FLOPs; beside it teacher "
        f"{numbers.flops(cost['teacher_flops'])}"
    )


def _signals(signals: Mapping[str, Any]) -> str:
    """Say what the teacher tells of each token, where it is kept and how large it may be."""
    names = ", ".join(signals["names"])
    if signals["mode"] == "online":
        return f"{names}: the teacher runs beside each student"
    row, limit = (numbers.size(signals[key]) for key in ("bytes_a_row", "max_bytes"))
    most = signals["most_bytes"]
    known = f"at most {row} a row" if most is None else f"at most {numbers.size(most)}"
    if signals["mode"] == "cached":
        return f"{names}: computed once and stored, {known}"
    return (
        f"{names}: stored, {known}, or computed beside each student if that is more than "
        f"cache.max_bytes ({limit})"
    )


def _margins(plan: Mapping[str, Any], split: str) -> str:
    """Say which margins a split supports, by the share of answers that differ."""
    items, margins = plan["splits"][split], plan["smallest_supported_margin"][split]
    whole = plan.get("items", plan["splits"])[split]
    if items is None or margins is None:
        return "items are not known before the data are there"
    supported = _either(numbers.width(margin) for margin in margins.values())
    differing = _either(f"{100 * float(share):.0f}" for share in margins)
    where = f"{differing}% of answers differ"
    counted = f"{items:,} items" if items == whole else f"{items:,} units of {whole:,} items"
    if labels := plan.get("domains"):
        counted = f"{items:,} items of the smallest of {len(labels)} domains"
    return f"{counted} support margins of {supported} points where {where}"


def _either(words: Iterable[str]) -> str:
    """Join words as 1, 2 or 3."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last

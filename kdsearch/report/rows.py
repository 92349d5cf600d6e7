"""What the summary table says, before it is drawn: rows, notes and closing lines.

Everything is read off `summary.json`'s dictionary, so that terminal and page say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kdsearch.report import numbers
from kdsearch.report.ablations import ablation_text
from kdsearch.search.sentences import percent

Summary = Mapping[str, Any]

VERDICTS: Mapping[str, str] = {
    "match": "match",
    "no_match": "no match",
    "undecided": "undecided",
    "failed": "failed",
    "not_visited": "not visited",
}
OUTCOMES: Mapping[str, str] = {
    **VERDICTS,
    "uninformative_teacher": "uninformative teacher",
    "insensitive_margin": "insensitive margin",
    "unreliable_data": "unreliable data",
    "withheld": "match withheld",
    "interrupted": "interrupted",
}
OBJECTIONS: Mapping[str, str] = {
    "withheld": "withheld: a match by its scores, which is not declared for the reasons given.",
    "forced": "forced: a match by its scores, declared by --force in spite of the reasons given.",
}
AT_LEAST, AT_MOST = "\N{GREATER-THAN OR EQUAL TO}", "\N{LESS-THAN OR EQUAL TO}"
SHOWN_FAILURES = 5
"""Failed trials listed under the table; the rest are counted."""


class SizeRow(NamedTuple):
    """A line of the summary table: the teacher's, or one size's."""

    name: str
    parameters: int | None
    share: float | None
    """Of the teacher's parameters."""
    baseline: float | None
    dev: float | None
    confirm: float | None
    interval: tuple[float, float] | None
    """Around the confirm score, two-sided."""
    difference: float | None
    """Student minus teacher on confirm."""
    lower_bound: float | None
    upper_bound: float | None
    verdict: str
    decided_on: str | None
    exploratory: bool
    selected: bool
    shortcut: bool = False
    """Whether it answers by something else than reading; see `search.audits.shortcuts_of`."""
    objection: str = ""
    """`withheld`, or `forced`, where something speaks against its match; else empty."""

    @property
    def bound(self) -> str:
        """The one-sided bound that decides: the upper one refuses, the lower one admits."""
        if self.verdict == "no_match":
            at_most = self.upper_bound
            return numbers.NONE if at_most is None else f"{AT_MOST} {numbers.points(at_most)}"
        at_least = self.lower_bound
        return numbers.NONE if at_least is None else f"{AT_LEAST} {numbers.points(at_least)}"

    @property
    def verdict_text(self) -> str:
        """The verdict in words, and where it fell."""
        words = VERDICTS.get(self.verdict, self.verdict)
        placed = self.decided_on and self.verdict in ("no_match", "undecided")
        where = f" on {self.decided_on}" if placed else ""
        marks = [("exploratory", self.exploratory), ("shortcut", self.shortcut)]
        marks.append((self.objection, bool(self.objection)))
        noted = ", ".join(mark for mark, holds in marks if holds)
        return f"{words}{where}{f' ({noted})' if noted else ''}".strip()


class RunRow(NamedTuple):
    """A line of the table of several runs."""

    name: str
    outcome: str
    teacher_parameters: int | None
    size: str | None
    """The size that the run selected."""
    parameters: int | None
    share: float | None
    difference: float | None
    bound: str
    share_of_grid: float | None
    seconds: float


def size_rows(summary: Summary) -> list[SizeRow]:
    """Return the teacher's row and one for each size, the largest first."""
    whole = summary["teacher"]["parameters"]
    selected = (summary.get("selected") or {}).get("size")
    sizes = sorted(summary["sizes"], key=lambda size: -int(size["parameters"]))
    objection = "withheld" if summary["outcome"] == "withheld" else "forced"
    listed = (_size_row(size, whole, selected, objection) for size in sizes)
    return [_teacher_row(summary), *listed]


def run_row(summary: Summary) -> RunRow:
    """Return what a run found, in one line."""
    chosen = next((row for row in size_rows(summary) if row.selected), None)
    return RunRow(
        name=summary["name"],
        outcome=summary["outcome"],
        teacher_parameters=summary["teacher"]["parameters"],
        size=chosen.name if chosen else None,
        parameters=chosen.parameters if chosen else None,
        share=chosen.share if chosen else None,
        difference=chosen.difference if chosen else None,
        bound=chosen.bound if chosen else numbers.NONE,
        share_of_grid=summary["cost"]["share_of_grid"],
        seconds=summary["cost"]["wall_seconds"],
    )


def _teacher_row(summary: Summary) -> SizeRow:
    teacher = summary["teacher"]
    audit = (summary.get("shortcut_audit") or {}).get("teacher") or {}
    confirm = teacher.get("confirm") or {}
    return SizeRow(
        name="teacher",
        parameters=teacher["parameters"],
        share=None,
        baseline=None,
        dev=(teacher.get("dev") or {}).get("score"),
        confirm=confirm.get("score"),
        interval=_pair(confirm.get("ci")),
        difference=None,
        lower_bound=None,
        upper_bound=None,
        verdict="",
        decided_on=None,
        exploratory=False,
        selected=False,
        shortcut=bool(audit.get("shortcut")),
    )


def _size_row(
    size: Mapping[str, Any], whole: int | None, selected: str | None, objection: str
) -> SizeRow:
    confirm = size.get("confirm") or {}
    return SizeRow(
        name=size["size"],
        parameters=size["parameters"],
        share=size["parameters"] / whole if whole else None,
        baseline=(size.get("baseline") or {}).get("score"),
        dev=(size.get("dev") or {}).get("score"),
        confirm=confirm.get("score"),
        interval=_pair(confirm.get("ci")),
        difference=confirm.get("difference"),
        lower_bound=confirm.get("lower_bound"),
        upper_bound=confirm.get("upper_bound"),
        verdict=size["verdict"],
        decided_on=size.get("decided_on"),
        exploratory=bool(size.get("exploratory")),
        selected=size["size"] == selected,
        shortcut=bool(size.get("shortcut")),
        objection=objection if size.get("withheld") else "",
    )


def _pair(values: Any) -> tuple[float, float] | None:
    return (values[0], values[1]) if values else None


def title(name: str, match: Mapping[str, Any]) -> str:
    """Return a run's name and the question it was asked."""
    return f"{name}: {claim(match)} at {percent(match['confidence'])} confidence"


def claim(match: Mapping[str, Any]) -> str:
    """Return what counts as a match, such as `accuracy within 3.0 points of the teacher`."""
    seeds = match.get("seeds", 1)
    recipe = f", by the recipe over {seeds} seeds," if seeds > 1 else ""
    if match.get("retain") is not None:
        return f"{percent(match['retain'])} of the teacher's {match['metric']}{recipe}"
    width = numbers.width(match["margin"])
    return f"{match['metric']} within {width} points of the teacher{recipe}"


def notes(summary: Summary) -> list[str]:
    """Explain the columns that do not explain themselves."""
    match, listed = summary["match"], size_rows(summary)[1:]
    lines = []
    if any(row.confirm is not None for row in listed):
        needed = numbers.points(-(match.get("margin") or 0.0))
        lines += [
            f"difference: student minus {_reference(match)} on confirm, in points.",
            f"bound: the true difference is at least ({AT_LEAST}) or at most ({AT_MOST}) this; "
            f"one-sided, at {percent(match['confidence'])} confidence for all tested sizes "
            f"together. A match needs a {AT_LEAST} bound above {needed}.",
        ]
    if any(domain_lines(summary)):
        lines.append(
            "domains: scores are over the items of all, difference and bound those of the domain "
            "that is furthest from a match; a size matches if it matches on each."
        )
    if any(row.baseline is not None for row in listed):
        where = " in the last stage" if summary.get("stages") else ""
        lines.append(
            f"baseline: the same size trained without the teacher{where}, scored on dev; what dev "
            f"has more is what distillation added{where and ' there'}."
        )
    if any(each["skipped"] is None for each in summary.get("ablations") or []):
        lines.append(
            "ablation: the same student trained without a term, compared on dev, which also chose "
            "the configuration; bounds as above, together for all terms."
        )
    if any(row.exploratory for row in listed):
        lines.append(
            "exploratory: tested after confirm had been opened for a smaller search; no proof."
        )
    if any(row.shortcut for row in size_rows(summary)):
        lines.append(
            "shortcut: on dev it answers by place or almost always alike, or its score falls by "
            "more than a match may lose once the options of each question change places."
        )
    lines += [OBJECTIONS[row.objection] for row in listed if row.objection]
    return lines


def _others(teacher: Mapping[str, Any]) -> Iterator[str]:
    """Say who taught beside the teacher that students are compared with."""
    told = []
    for name, other in (teacher.get("others") or {}).items():
        score = other["score"]
        told.append(name if score is None else f"{name} (dev {numbers.score(score)})")
    if told:
        yield f"students are compared with {teacher['name']} alone; others: {', '.join(told)}"


def _reference(match: Mapping[str, Any]) -> str:
    kept = match.get("retain")
    return "teacher" if kept is None else f"{percent(kept)} of the teacher"


def closing(summary: Summary) -> list[tuple[str, str]]:
    """Return labelled lines: what terms add, the cost, how trials ended, what to beware of."""
    lines = domain_lines(summary)
    lines += [("teachers", line) for line in _others(summary["teacher"])]
    lines += [("ablation", ablation_text(each)) for each in summary.get("ablations") or []]
    lines += [("cost", _cost(summary["cost"])), ("trials", _trials(summary["trials"]))]
    data = summary.get("data") or {}
    told = any(data.get(key) for key in ("deduplicated", "leaked", "skipped", "near_duplicates"))
    lines += [("data", data_line(data))] if told else []
    lines += [("failed", line) for line in _failures(summary.get("failures") or [])]
    lines += [("warning", line) for line in summary.get("warnings") or []]
    repeated = [label == before for (label, _), (before, _) in zip(lines[1:], lines, strict=False)]
    return [lines[0]] + [
        ("" if same else label, line)
        for same, (label, line) in zip(repeated, lines[1:], strict=True)
    ]


def domain_lines(summary: Summary) -> list[tuple[str, str]]:
    """Tell of each domain, where there are several, what confirm found at each size."""
    lines = []
    for size in sorted(summary["sizes"], key=lambda size: -int(size["parameters"])):
        for label, test in ((size.get("confirm") or {}).get("domains") or {}).items():
            refused = test["verdict"] == "no_match"
            sign, bound = (AT_MOST, "upper_bound") if refused else (AT_LEAST, "lower_bound")
            student, teacher = (
                numbers.score(test[f"{who}_score"]) for who in ("student", "teacher")
            )
            told = (
                f"{size['size']} on {label}: {student} to {teacher}, "
                f"{numbers.points(test['difference'])} ({sign} {numbers.points(test[bound])}), "
                f"{VERDICTS[test['verdict']]}"
            )
            lines.append(("domains", told))
    return lines


def data_line(data: Mapping[str, Any]) -> str:
    """Tell what became of the loaded rows."""
    copies = data["deduplicated"] + data["leaked"]
    parts = [f"{data['loaded']:,} loaded"]
    parts += [f"{data['skipped']:,} malformed skipped"] if data.get("skipped") else []
    parts += [f"{numbers.noun(copies, 'copy', 'copies')} left out"]
    parts += [f"{data['leaked']:,} of them leaks between splits"] if data["leaked"] else []
    if near := data.get("near_duplicates"):
        parts.append(f"{numbers.noun(near, 'near-duplicate')} of dev or confirm dropped")
    parts += [f"{data['unused']:,} asked for by no split"] if data["unused"] else []
    return ", ".join(parts)


def _cost(cost: Mapping[str, Any]) -> str:
    """Tell the cost; a grid is planned at full length, so its FLOPs are not those spent."""
    ablation = cost.get("ablation_flops")
    return (
        f"{numbers.percent(cost['share_of_grid'])} of the exhaustive grid in "
        f"{numbers.duration(cost['wall_seconds'])}; FLOPs: training "
        f"{numbers.flops(cost['train_flops'])}, teacher {numbers.flops(cost['teacher_flops'])}, "
        f"evaluation {numbers.flops(cost['evaluation_flops'])}"
        f"{f', ablation {numbers.flops(ablation)}' if ablation else ''}"
    )


def _trials(trials: Mapping[str, int]) -> str:
    counts = [
        f"{trials[how]} {how}" for how in ("finished", "stopped", "failed") if trials.get(how)
    ]
    return ", ".join(counts) or "none"


def _failures(failures: Sequence[Mapping[str, str]]) -> list[str]:
    lines = [
        f"{failure['trial']}: {numbers.last_line(failure['error'])}"
        for failure in failures[:SHOWN_FAILURES]
    ]
    left_out = len(failures) - len(lines)
    return [*lines, f"and {left_out} more"] if left_out else lines

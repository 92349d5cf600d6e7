"""The table of models by domains: each score with its interval, beside what guessing scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Group
from rich.text import Text

from kdsearch.report import numbers
from kdsearch.report.drawing import Column, Fitting, draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

Report = dict[str, Any]
"""As `kdsearch.evaluation.report_of` makes it."""


class MetricRow(NamedTuple):
    """One metric of one domain."""

    domain: str
    """With its split; empty below the domain's first metric."""
    items: str
    metric: str
    majority: float | None
    uniform: float | None
    models: Mapping[str, Mapping[str, float]]
    """By model: score, low, high."""


def evaluation_table(report: Report) -> RenderableType:
    """Return the scores of models on domains, a row a metric and a column a model."""
    rows = metric_rows(report)
    names = list(dict.fromkeys(result["model"] for result in report["results"]))
    layouts = [
        draw(_columns(names, separator), rows, style=lambda row: "" if row.domain else "dim")
        for separator in (" ", "\n")
    ]
    return Group(Fitting(layouts), Text(), *(Text(note, style="dim") for note in notes(report)))


def metric_rows(report: Report) -> list[MetricRow]:
    """Return the rows: by domain, its metrics in their order."""
    found = []
    for domain in report["domains"]:
        results = [each for each in report["results"] if each["domain"] == domain["domain"]]
        for place, metric in enumerate(results[0]["metrics"] if results else ()):
            found.append(
                MetricRow(
                    domain=f"{domain['domain']} {domain['split']}" if place == 0 else "",
                    items=f"{domain['items']:,}" if place == 0 else "",
                    metric=metric,
                    majority=domain["majority"].get(metric),
                    uniform=domain["uniform"] if metric == "accuracy" else None,
                    models={each["model"]: each["metrics"][metric] for each in results},
                )
            )
    return found


def notes(report: Report) -> list[str]:
    """Say what the table does not show: how models were asked, and where numbers come from."""
    found = []
    ways = {(each["model"], each["prompt"]): None for each in report["results"]}
    listed = ", ".join(f"{model} by {prompt} prompts" for model, prompt in ways)
    scored = {each["scoring"] for each in report["results"]}
    how = {"options": "the best option", "generate": "generated", "mixed": "the best option if any"}
    answers = " or ".join(how[each] for each in sorted(scored))
    found.append(f"asked: {listed}; the answer is {answers}")
    for each in report["results"]:
        if each["length_normalization"] != "none" and each["scoring"] != "generate":
            per = each["length_normalization"].removesuffix("s")
            found.append(f"{each['model']} on {each['domain']}: log-likelihood per {per}")
        if each["cut"]:
            cut = numbers.noun(each["cut"], "question")
            found.append(f"{each['model']} on {each['domain']}: {cut} cut to fit")
    shared = [domain for domain in report["domains"] if domain["units"] < domain["items"]]
    for domain in shared:
        found.append(f"{domain['domain']}: intervals are over {domain['units']:,} units of items")
    own = [each["domain"] for each in report["domains"] if each["majority_of"] != "train"]
    versions = ", ".join(f"{each['domain']} {each['version']}" for each in report["domains"])
    found.append(f"versions of the domains: {versions}")
    of = f"train's ({', '.join(own)}: the items' own)" if own else "train's"
    found.append(
        f"intervals: {100 * report['confidence']:g}%; majority: {of} most frequent answer; "
        "uniform: a drawn option"
    )
    return found


def _columns(names: Sequence[str], separator: str) -> list[Column[MetricRow]]:
    def of_model(name: str) -> Column[MetricRow]:
        def text(row: MetricRow) -> str:
            found = row.models.get(name)
            if found is None:
                return numbers.NONE
            interval = f"{numbers.score(found['low'])}-{numbers.score(found['high'])}"
            return f"{numbers.score(found['score'])}{separator}{interval}"

        return Column(name, text, "right")

    return [
        Column("domain", lambda row: row.domain, flexible=True, least=12),
        Column("items", lambda row: row.items, "right"),
        Column("metric", lambda row: row.metric),
        Column("majority", lambda row: numbers.score(row.majority), "right"),
        Column("uniform", lambda row: numbers.score(row.uniform), "right"),
        *map(of_model, names),
    ]

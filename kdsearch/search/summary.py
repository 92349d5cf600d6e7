"""The summary of a run: a pure function of its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kdsearch.errors import ExitCode, RunError
from kdsearch.events import (
    AblationSkipped,
    ConfirmTested,
    Event,
    Record,
    TermAblated,
    TrialFailed,
    TrialFinished,
    TrialStopped,
)
from kdsearch.inputs.tally import repeat_warnings
from kdsearch.search.agreement import effective, has_ended
from kdsearch.search.audits import (
    audit_figures,
    audit_warnings,
    error_figures,
    shortcuts_of,
    takes_shortcut,
)
from kdsearch.search.cost import Ledger, seconds_running
from kdsearch.search.journal import read
from kdsearch.search.journal_facts import JournalFacts
from kdsearch.search.ledger import reuse_warning
from kdsearch.search.recorded_files import repair_text
from kdsearch.search.reliability import confirm_json
from kdsearch.search.rules import Outcome, Verdict
from kdsearch.search.sentences import percent
from kdsearch.search.validity import forced_warnings, not_looked_for
from kdsearch.stats.paired import wilson_interval
from kdsearch.stats.power import smallest_supported_margin

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

SUMMARY = "summary.json"
"""Of a run directory."""

SCHEMA_VERSION = 1

INTERRUPTED = "interrupted"
"""The outcome of a run that has not finished."""


def finished_summary(run: Path) -> dict[str, Any] | None:
    """Return the summary of a run that has ended; None of any other.

    Raises:
        RunError: If it is no run, or its journal is damaged.
    """
    records = read(run / "journal.jsonl")
    return summarise(records) if has_ended(records) else None


def summarise(records: Sequence[Record]) -> dict[str, Any]:
    """Return a run's summary, also of a run that is still going or was interrupted.

    Raises:
        RunError: If the journal does not begin with what the run planned.
    """
    facts = JournalFacts([record.event for record in effective(records)])
    if not facts.plan:
        raise RunError("the journal does not say what the run planned: it has no run_started")
    plan = facts.plan
    return {
        "schema_version": SCHEMA_VERSION,
        "name": plan["name"],
        "outcome": facts.finished.outcome if facts.finished else INTERRUPTED,
        "sentence": _sentence(facts),
        "more_items": facts.finished.more_items if facts.finished else None,
        "teacher": _teacher(facts),
        "match": dict(plan["match"]) | {"smallest_supported_margin": _supported(facts)},
        "sizes": [_size(facts, size) for size in plan["sizes"]],
        "selected": _selected(facts),
        "ablations": [ablation_json(event) for event in facts.ablations],
        "data": _data(plan),
        **({"stages": plan["stages"]} if plan.get("stages") else {}),
        "shortcut_audit": audit_figures(facts.audits),
        "errors": error_figures(facts.audits),
        "cost": _cost(records, facts),
        "trials": {
            "finished": _count(facts, TrialFinished),
            "stopped": _count(facts, TrialStopped),
            "failed": _count(facts, TrialFailed),
        },
        "failures": [
            {"trial": trial, "error": ending.error}
            for trial, ending in facts.endings.items()
            if isinstance(ending, TrialFailed)
        ],
        "warnings": _warnings(facts),
    }


def _sentence(facts: JournalFacts) -> str:
    """Return the run's answer, with what the audit has against the student that it names."""
    if facts.finished is None:
        return "The run has not finished."
    if facts.finished.withheld:
        return facts.finished.sentence
    chosen = _selected(facts)
    audit = facts.audits.get(chosen["size"]) if chosen else None
    taken = shortcuts_of(audit.__dict__) if audit is not None else []
    beware = f" Beware: on dev it {' and '.join(taken)}." if taken else ""
    return f"{facts.finished.sentence}{beware}"


def exit_code(summary: Mapping[str, Any]) -> ExitCode:
    """Return the exit code that a summary ends a command with."""
    if summary["outcome"] == Outcome.MATCH:
        return ExitCode.MATCH
    if summary["outcome"] == INTERRUPTED:
        return ExitCode.INTERRUPTED
    if summary["outcome"] in (Outcome.UNRELIABLE_DATA, Outcome.WITHHELD):
        return ExitCode.NO_MATCH
    return ExitCode.TRIALS_FAILED if summary["trials"]["failed"] else ExitCode.NO_MATCH


def _teacher(facts: JournalFacts) -> dict[str, Any]:
    ready = facts.teacher
    test = max(facts.tested.values(), key=lambda tested: tested.items, default=None)
    confirm = test and _scored(test.teacher_score, test.items, facts.plan)
    if test is None and facts.checked is not None:
        confirm = _scored(facts.checked.score, facts.checked.items, facts.plan)
    return {
        **facts.plan["teacher"],
        "dev": ready and {"score": ready.score, "n": ready.items, **_domains(ready.domains)},
        "confirm": confirm,
        "chance": dict(ready.chance) if ready else None,
        "informative": ready.informative if ready else None,
        "sensitive": ready.sensitive if ready else None,
        "confirm_check": confirm_json(facts.checked),
        **({"others": ready.others} if ready and ready.others else {}),
    }


def _scored(score: float, items: int, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score with its two-sided interval."""
    interval = wilson_interval(score * items, items, plan["match"]["confidence"])
    return {"score": score, "n": items, "ci": list(interval)}


def _supported(facts: JournalFacts) -> dict[str, Any]:
    """Return the margins that confirm supports: by planned and by observed disagreement."""
    shown = _most_telling(facts)
    observed = None
    if shown is not None:
        alpha = _opening_alpha(facts) / 2.0  # the candidate's share
        confirm_items = facts.plan["splits"]["confirm"]
        observed = smallest_supported_margin(confirm_items, _disagreement(shown), alpha)
    return {
        "planned": facts.plan.get("smallest_supported_margin", {}).get("confirm"),
        "observed": observed,
    }


def _disagreement(trial: TrialFinished) -> float:
    """Return the variance of one item's difference on dev, nearly: the share of the discordant."""
    if trial.paired is not None:
        return trial.paired["deviation"] ** 2
    return (trial.student_only + trial.teacher_only) / trial.items


def _most_telling(facts: JournalFacts) -> TrialFinished | None:
    """Return the candidate's trial; without a candidate the best trial that is no baseline."""
    if facts.opened:
        decided = facts.decided.get(facts.opened.sizes[0])
        return facts.finished_trial(decided.trial if decided else None)
    distilled = [
        ending
        for ending in facts.endings.values()
        if isinstance(ending, TrialFinished)
        and ending.index is not None
        and ending.trial not in facts.ablated
    ]
    return max(distilled, key=lambda ending: ending.score, default=None)


def _size(facts: JournalFacts, planned: Mapping[str, Any]) -> dict[str, Any]:
    name = planned["size"]
    decided, baseline = facts.decided.get(name), facts.baseline(name)
    best = facts.finished_trial(decided.trial if decided else None)
    open_ended = Verdict.UNDECIDED if name in facts.started and not facts.finished else None
    test, chosen = facts.tested.get(name), _selected(facts)
    return {
        "size": name,
        "parameters": planned["parameters"],
        "embedding_parameters": planned["embedding_parameters"],
        "share_of_teacher": planned.get("share_of_teacher"),
        "verdict": decided.verdict if decided else open_ended or Verdict.NOT_VISITED,
        "decided_on": decided.decided_on if decided else None,
        "exploratory": test.exploratory if test else False,
        "reason": decided.reason if decided else None,
        "trials": len(facts.started.get(name, ())),
        "best_trial": decided.trial if decided else None,
        "dev": best and {"score": best.score, "n": best.items, **_domains(best.domains)},
        "confirm": test and _confirm(test, facts.plan),
        "baseline": baseline and {"score": baseline.score},
        "shortcut": takes_shortcut(facts.audits.get(name)),
        "withheld": chosen["withheld"] if chosen and chosen["size"] == name else [],
    }


def _confirm(test: ConfirmTested, plan: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_scored(test.student_score, test.items, plan),
        "difference": test.difference,
        "lower_bound": test.lower_bound,
        "upper_bound": test.upper_bound,
        "seeds": test.seeds,
        "look": test.look,
        "alpha": test.alpha,
        "in_units": test.in_units,
        "student_only": test.student_only,
        "teacher_only": test.teacher_only,
        "p_value": test.p_value,
        **_domains(test.domains),
        **({"worst": test.worst} if test.worst else {}),
    }


def _domains(domains: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what is known of each of several domains, if there are several."""
    return {"domains": {label: dict(told) for label, told in domains.items()}} if domains else {}


def _selected(facts: JournalFacts) -> dict[str, Any] | None:
    """Return the smallest size that matched, and what speaks against it."""
    withheld = facts.finished.withheld if facts.finished else ()
    if facts.finished and facts.finished.outcome == Outcome.UNRELIABLE_DATA:
        return None
    for planned in facts.plan["sizes"]:
        test = facts.tested.get(planned["size"])
        if test is not None and test.verdict == Verdict.MATCH and not test.exploratory:
            return {
                "size": planned["size"],
                "parameters": planned["parameters"],
                "share_of_teacher": planned.get("share_of_teacher"),
                "path": f"students/{planned['size']}",
                "withheld": list(withheld),
            }
    return None


def _data(plan: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what became of the loaded examples; None of a journal that does not say."""
    return {**plan["data"], "kept": plan["items"]} if plan.get("data") else None


def ablation_json(event: TermAblated | AblationSkipped) -> dict[str, Any]:
    """Return what leaving out a term showed on dev, or why it was not done."""
    named = {"term": event.term, "size": event.size, "trial": event.trial}
    if isinstance(event, AblationSkipped):
        return {**named, "skipped": event.reason}
    return {
        **named,
        "skipped": None,
        "without": list(event.without),
        "score": event.score,
        "score_without": event.score_without,
        "difference": event.difference,
        "lower_bound": event.lower_bound,
        "upper_bound": event.upper_bound,
        "p_value": event.p_value,
        "with_only": event.with_only,
        "without_only": event.without_only,
        "n": event.items,
        "seeds": len(event.without),
    }


def _cost(records: Sequence[Record], facts: JournalFacts) -> dict[str, Any]:
    trial_flops = {size["size"]: size["trial_flops"] for size in facts.plan["sizes"]}
    ledger = Ledger(trial_flops, facts.plan["cost"]["exhaustive_grid_flops"])
    for record in records:
        ledger.apply(record.event)
    totals = ledger.totals()
    return {
        "train_flops": totals.training,
        "teacher_flops": totals.teacher,
        "evaluation_flops": totals.evaluation,
        "ablation_flops": totals.ablation,
        "exhaustive_grid_flops": ledger.grid,
        "share_of_grid": totals.share_of_grid,
        "wall_seconds": seconds_running(records),
    }


def _count(facts: JournalFacts, kind: type[Event]) -> int:
    return sum(isinstance(ending, kind) for ending in facts.endings.values())


def _warnings(facts: JournalFacts) -> list[str]:
    chosen = _selected(facts) if facts.finished else None
    return [
        *forced_warnings(
            facts.teacher, facts.checked, trained=any(facts.started), tested=bool(facts.tested)
        ),
        *_margin_warnings(facts),
        *_reuse_warnings(facts),
        *_cut_warnings(facts),
        *(f"{event.trial} {repair_text(event)}" for event in facts.repaired),
        *repeat_warnings(facts.plan.get("data") or {}, facts.plan.get("items") or {}),
        *audit_warnings(facts.audits),
        *(not_looked_for(facts.audits, chosen["size"], facts.plan) if chosen else ()),
    ]


def _reuse_warnings(facts: JournalFacts) -> Iterable[str]:
    """Say that earlier runs have spent of the chance of a false match."""
    openings = facts.plan.get("confirm_opened_by", ())
    runs = [opening["run"] for opening in openings if opening.get("spent", 1.0)]
    if runs and facts.opened:
        alpha = 1.0 - facts.plan["match"]["confidence"]
        yield reuse_warning(runs, facts.plan.get("alpha_available") or alpha, alpha)


def _opening_alpha(facts: JournalFacts) -> float:
    """Return what the first opening of confirm spends, or may spend."""
    if facts.opened and facts.opened.alpha is not None:
        return facts.opened.alpha
    match = facts.plan["match"]
    whole = facts.plan.get("alpha_available") or 1.0 - match["confidence"]
    return float(whole * (1.0 - match.get("reserve", 0.0)))


def _cut_warnings(facts: JournalFacts) -> Iterable[str]:
    cut = facts.teacher.cut if facts.teacher else {}
    if counts := [f"{count:,} of {split}" for split, count in cut.items() if count]:
        yield f"questions were cut to fit prompt.max_tokens: {', '.join(counts)}"


def _margin_warnings(facts: JournalFacts) -> Iterable[str]:
    match, observed = facts.plan["match"], _supported(facts)["observed"]
    margin, kept = match.get("margin"), match.get("retain")
    if kept is not None and facts.teacher:  # what it allows an equal student to lose
        margin = (1.0 - kept) * facts.teacher.score
    more = any(test.look > 1 for test in facts.tested.values())  # items were added since
    if margin is not None and observed is not None and margin < observed and not more:
        asked = "" if kept is None else f" that retaining {percent(kept)} allows"
        yield (
            f"the {facts.plan['splits']['confirm']:,} confirm items support no margin below "
            f"{100 * observed:.1f} points at the disagreement seen on dev: a student equal to the "
            f"teacher may stay undecided at the {100 * margin:.1f}{asked}"
        )

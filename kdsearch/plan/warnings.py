"""What of a plan will probably disappoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kdsearch.assistants import foreknowledge
from kdsearch.inputs.tally import repeat_warnings
from kdsearch.search.ledger import reuse_warning
from kdsearch.stats.power import DISAGREEMENTS

if TYPE_CHECKING:
    from kdsearch.plan.plan import Plan

TYPICAL_DISAGREEMENT = DISAGREEMENTS[1]
"""Share of discordant items by which a margin is called unsupported."""


def warnings_of(plan: Plan) -> list[str]:
    """Say what will probably disappoint, a line each."""
    spec, found = plan.spec, []
    distinct = len({repr(configuration) for configuration in plan.configurations})
    if distinct < len(plan.configurations):
        found.append(
            f"{len(plan.configurations)} configurations a size, and only {distinct} differ: lower "
            "search.configurations_per_size or search more values"
        )
    distilled = plan.settings[1:]
    told = [
        line
        for settings in distilled
        for place in spec.stage.teaching
        for line in plan.parts.warnings(settings, plan.teachers[place])
    ]
    found += dict.fromkeys(told)
    idle = [key for key in spec.stage.losses if key not in spec.stage.terms]
    if idle:
        found.append(f"left out, since their teacher has weight 0: {', '.join(idle)}")
    seed = spec.search.seed
    sources = (spec.stage.teachers[place] for place in plan.teachers)
    found += filter(None, (foreknowledge(source, spec.stage, seed) for source in sources))
    formats = {getattr(stage.parts.options, "answer_format", None) for stage in plan.stages}
    if len(formats - {None}) > 1:
        found.append("the stages answer in different formats: give answer_format the same value")
    if not plan.parts.needs:
        found.append("no loss uses the teacher: every student trains on the labels alone")
    whole = plan.teacher.known_parameters
    large = [size.name for size in plan.sizes if whole and size.parameters >= whole]
    if large:
        found.append(f"not smaller than the teacher: {', '.join(large)}")
    if len({size.parameters for size in plan.sizes}) < len(plan.sizes):
        found.append("sizes with equal parameters are taken in the order of their names")
    if lost := [opening.run for opening in plan.opened_by if opening.spent]:
        alpha = 1.0 - spec.match.confidence
        found.append(reuse_warning(lost, plan.available or 0.0, alpha))
    if plan.tally is not None:
        found += repeat_warnings(plan.tally.to_json(), plan.counts._asdict())
    if unsupported := _unsupported(plan):
        found.append(unsupported)
    if spec.stage.teachers[0].scratch is not None and spec.stage.teachers[0].fine_tune is None:
        found.append("the teacher is random")
    return found


def _unsupported(plan: Plan) -> str | None:
    """Say that confirm is too small for the margin, with the smallest that it supports."""
    match, items = plan.spec.match, plan.units.confirm
    margins = plan.supported_margins(items)
    margin = match.margin if match.margin is not None else 1.0 - (match.retain or 0.0)
    if items is None or margins is None or margin >= margins[str(TYPICAL_DISAGREEMENT)]:
        return None
    asked = "match.margin is" if match.margin is not None else "match.retain allows at most"
    least, typical = (100 * margins[str(share)] for share in DISAGREEMENTS[:2])
    word = "items" if items == plan.counts.confirm else "units"
    return (
        f"the {items:,} confirm {word} support no margin below {typical:.1f} points where "
        f"{TYPICAL_DISAGREEMENT:.0%} of the answers differ ({least:.1f} at "
        f"{DISAGREEMENTS[0]:.0%}); {asked} {100 * margin:.1f} points: expect `undecided`"
    )

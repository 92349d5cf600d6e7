"""Optuna's tree-structured Parzen estimator as a sampler of configurations.

What it suggests for a configuration depends on the results of the same size with lower indices and
on nothing else, so that it must be asked one after the other within a size.
"""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from kdsearch.errors import SpecError
from kdsearch.spec.space import LogUniform, Uniform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.spec.space import Configuration, Space

STARTUP = 4
"""Configurations drawn at random before the first suggestion, the same at every size. Optuna's own
ten are more than most searches try at a size."""


class Tried(NamedTuple):
    """A configuration that has ended."""

    configuration: Configuration
    difference: float | None
    """From the teacher on dev, as forecast where it was stopped; None where it failed."""


def require_optuna() -> None:
    """Refuse to plan with a sampler that is not installed.

    Raises:
        SpecError: If optuna is missing.
    """
    if find_spec("optuna") is None:
        raise SpecError(
            "search.sampler tpe needs optuna, which is not installed",
            fix="pip install 'kdsearch-llm[optuna]', or use another sampler",
        )


def suggest(spaces: Mapping[str, Space], tried: Sequence[Tried], seed: str) -> Configuration:
    """Return the configuration to try after those that have ended (Bergstra et al. 2011).

    Args:
        spaces: The searched values by path.
        tried: By index, all that has ended.
        seed: Fixes the suggestion, together with what was tried.
    """
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = int.from_bytes(hashlib.sha256(f"{seed}:{len(tried)}".encode()).digest()[:4], "big")
    sampler = optuna.samplers.TPESampler(n_startup_trials=1, seed=number)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {path: _distribution(space) for path, space in spaces.items()}
    for configuration, difference in tried:
        params = {path: _encoded(space, configuration[path]) for path, space in spaces.items()}
        failed = difference is None
        state = TrialState.FAIL if failed else TrialState.COMPLETE
        study.add_trial(
            create_trial(params=params, distributions=distributions, value=difference, state=state)
        )
    asked = study.ask(distributions).params
    return {path: _decoded(space, asked[path]) for path, space in spaces.items()}


def _distribution(space: Space) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if isinstance(space, Uniform):
        return FloatDistribution(*space.uniform)
    if isinstance(space, LogUniform):
        return FloatDistribution(*space.loguniform, log=True)
    return CategoricalDistribution(tuple(range(len(space.edges))))


def _encoded(space: Space, value: Any) -> Any:
    """Return an interval's value, or the place of a choice, which may be any value of YAML."""
    if isinstance(space, Uniform | LogUniform):
        return value
    return [json.dumps(edge) for edge in space.edges].index(json.dumps(value))


def _decoded(space: Space, value: Any) -> Any:
    return value if isinstance(space, Uniform | LogUniform) else space.edges[value]

"""What keeping k of a teacher's logits does to students, against what a seed does.

    python -m benchmarks.top_logits specs/quickstart.yaml --size 36k [--top-k 16] [--seeds 5]

The spec's first configuration is trained at one size with every seed, once with all logits and
once with the k largest and the mass of the others; dev scores are compared seed by seed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdsearch.distill.jobs import perform
from kdsearch.plugin.host import Host
from kdsearch.run import run
from kdsearch.search.rules import Idle
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kdsearch.search.director import Director
    from kdsearch.spec.models import SearchSpec


class _Measured(Exception):  # no error: it ends a run that has given its figures
    pass


def scores(spec_file: Path, overrides: list[str], seeds: int) -> list[float]:
    """Prepare the spec's teacher and return the dev score of its configuration 0 by seed."""
    found: list[float] = []

    def execute(director: Director, spec: SearchSpec, folder: Path) -> None:
        teacher = director.next_job()
        assert not isinstance(teacher, Idle)
        director.finished_job(teacher.id, perform(teacher.payload, _ignore))
        job = director.next_job()
        while not isinstance(job, Idle) and "-c0-" not in job.id:
            job = director.next_job()
        assert not isinstance(job, Idle)
        for seed in range(seeds):
            trial = {**job.payload, "seed": seed, "trial": f"seed-{seed}"}
            found.append(perform(trial, _ignore)["score"])
        raise _Measured

    host = Host()
    with tempfile.TemporaryDirectory() as folder:
        try:
            spec = load_spec(spec_file, host, overrides)
            run(spec, host, Path(folder) / "run", execute, force=True)
        except _Measured:
            return found
    raise RuntimeError("the run ended before its students were measured")


def _ignore(progress: Mapping[str, Any]) -> None:
    """Let a job go on."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("spec", type=Path)
    parser.add_argument("--size", required=True)
    parser.add_argument("--top-k", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    sizes = load_spec(options.spec, Host(), options.set).ladder.rest["sizes"]
    one = f"ladder.sizes={{{options.size}: {sizes[options.size]}}}"
    overrides = [*options.set, one, "search.configurations_per_size=1"]
    whole = scores(options.spec, overrides, options.seeds)
    kept = scores(options.spec, [*overrides, f"cache.top_k={options.top_k}"], options.seeds)
    for name, values in (("all logits", whole), (f"k = {options.top_k}", kept)):
        each = " ".join(f"{value:.4f}" for value in values)
        print(
            f"{name:10} {each}   mean {statistics.mean(values):.4f}   "
            f"deviation over seeds {statistics.stdev(values):.4f}"
        )
    change = statistics.mean(kept) - statistics.mean(whole)
    print(f"change of the mean {change:+.4f}")


if __name__ == "__main__":
    main()

"""A run is resumed from anywhere, and under its own spec and data alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdsearch.errors import RunError
from kdsearch.local import run_locally
from kdsearch.plugin.host import Host
from kdsearch.run import resume, run
from kdsearch.spec.loading import load_spec

SHORT = (
    "teachers.0.fine_tune.max_steps=3",
    "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
    "train={learning_rate: 1e-3, max_steps: 3}",
    "losses.soft_labels={weight: {uniform: [0.5, 2.0]}}",
    "search={configurations_per_size: 1, strategy: descend}",
)

FILED = """
from pathlib import Path
from toy_domain import *

class FiledOptions(Options):
    path: Path

class Filed(Toy):
    name, Options = "filed", FiledOptions

    def load(self, options):
        for line in options.path.read_text().splitlines():
            yield Example(line, f"{line} =", line[-1])

@hookimpl
def kdsearch_domains():
    return [Filed()]
"""


def test_a_run_resumes_anywhere_and_under_its_own_spec_and_data_alone(
    tmp_path: Path, toy_spec: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(toy_plugin.parent)
    plugin, data, folder = (tmp_path / name for name in ("filed.py", "data.txt", "run"))
    plugin.write_text(FILED)
    data.write_text("\n".join(map(str, range(300))))
    monkeypatch.chdir(tmp_path)
    host = Host([Path("filed.py")])
    domain = "domain={name: filed, options: {path: data.txt}}"
    match = "match={metric: accuracy, margin: 0.9}"
    spec = load_spec(toy_spec, host, [*SHORT, domain, match])
    summary = run(spec, host, folder, run_locally, force=True)
    monkeypatch.chdir("/")
    data.write_text(data.read_text() + "\n300")
    assert resume(folder, run_locally) == summary  # it is finished
    (folder / "summary.json").unlink()
    with pytest.raises(RunError, match="data have changed since the run began: train"):
        resume(folder, run_locally)
    data.write_text(data.read_text().removesuffix("\n300"))
    assert resume(folder, run_locally) == summary
    plugin.write_text(FILED + "\n# edited\n")
    (folder / "summary.json").unlink()
    with pytest.raises(RunError, match="the code has changed since the run began: domain 'filed'"):
        resume(folder, run_locally)
    plugin.write_text(FILED)
    assert resume(folder, run_locally) == summary
    written = (folder / "spec.yaml").read_text()
    (folder / "spec.yaml").write_text(written.replace("max_steps: 3", "max_steps: 4"))
    with pytest.raises(RunError, match=r"spec has changed .*train.max_steps: 3 → 4"):
        resume(folder, run_locally)

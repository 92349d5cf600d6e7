from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import pytest

from kdsearch.errors import ExitCode, PluginError, SpecError
from kdsearch.plugin import API, hookimpl, host
from kdsearch.plugin.host import Host
from kdsearch.plugin.installed import Installed, Source
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, toy_plugin: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a writer of a plugin file; the toy domain's names are there to use."""
    monkeypatch.syspath_prepend(toy_plugin.parent)

    def writer(body: str) -> Path:
        file = tmp_path / "mine.py"
        file.write_text(f"from toy_domain import *\n\n{body}\n")
        return file

    return writer


def only_problem(host: Host) -> str:
    assert len(host.problems) == 1
    return str(host.problems[0])


def test_the_builtin_losses_and_ladders_enter_by_the_hooks() -> None:
    host = Host()
    assert {"answer_ce", "soft_labels", "hidden_mse"} <= set(host.losses)
    assert host.ladder("scratch").name == "scratch"
    assert host.losses["answer_ce"].source.plugin == "builtin"
    assert host.losses["answer_ce"].source.distribution == "kdsearch-llm"


def test_a_file_is_a_plugin(toy_plugin: Path) -> None:
    host = Host([toy_plugin])
    assert host.problems == []
    assert host.domain("toy").metrics == ("accuracy",)
    assert host.domains["toy"].source.plugin == "toy_domain"
    assert host.files == (toy_plugin,)


def test_a_missing_file_is_the_users_fault(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no such plugin file"):
        Host([tmp_path / "nowhere.py"])


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        ("domain", "toi", "unknown domain 'toi': did you mean 'toy'? allowed: "),
        ("loss", "soft_label", "unknown loss 'soft_label': did you mean 'soft_labels'?"),
        ("ladder", "scrtch", "unknown ladder 'scrtch': did you mean 'scratch'?"),
        ("loss", "zzz", "unknown loss 'zzz': allowed: answer_ce, "),
    ],
)
def test_an_unknown_name_gets_the_nearest(toy_host: Host, kind: str, name: str, told: str) -> None:
    with pytest.raises(SpecError) as caught:
        getattr(toy_host, kind)(name)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("import no_such_module", "import failed: ModuleNotFoundError"),
        ("1 / 0", "import failed: ZeroDivisionError: division by zero, at "),
        ("raise SystemExit(3)", "import failed: SystemExit: sys.exit(3) was called, at "),
        ("x = (", "import failed: SyntaxError: '(' was never closed, at "),
        ("KDSEARCH_API = 99", "states KDSEARCH_API = 99 (this host speaks 1)"),
        ("del KDSEARCH_API", "states KDSEARCH_API = None"),
        ("del kdsearch_domains", "implements no hook"),
        ("@hookimpl\ndef kdsearch_domains(): 1 / 0", "kdsearch_domains raised ZeroDivisionError"),
        ("@hookimpl\ndef kdsearch_domains(): return Toy()", "kdsearch_domains returned Toy"),
        ("@hookimpl\ndef kdsearch_domains(): return [ToyOptions()]", "lacks Options, aggregates"),
        ("@hookimpl\ndef kdsearch_domains(): return [Toy(), Toy()]", "name 'toy' is taken"),
        ("@hookimpl\ndef kdsearch_domains(spec): return []", "a hook is malformed"),
    ],
)
def test_a_broken_plugin_is_a_problem_and_not_an_error(write: Write, body: str, fault: str) -> None:
    host = Host([write(body)])
    problem = only_problem(host)
    assert problem.startswith("plugin 'mine' of ")
    assert fault in problem
    assert "\n" not in problem
    assert host.loss("answer_ce").name == "answer_ce"


def test_a_file_named_twice_is_one_plugin(toy_plugin: Path) -> None:
    host = Host([toy_plugin, toy_plugin.parent / "." / toy_plugin.name])
    assert (host.problems, host.files) == ([], (toy_plugin,))


def test_a_file_may_hold_dataclasses_with_annotations_as_text(write: Write) -> None:
    file = write("@dataclass\nclass Row:\n    kind: ClassVar[int] = 1\n    size: int = 2")
    imports = "from dataclasses import dataclass\nfrom typing import ClassVar\n"
    file.write_text(f"from __future__ import annotations\n{imports}{file.read_text()}")
    assert Host([file]).problems == []


def test_neither_owner_of_a_taken_name_wins(write: Write) -> None:
    host = Host([write("@hookimpl\ndef kdsearch_domains(): return [Toy(), Toy(), EvaluateOnly()]")])
    assert "toy_evaluate" in host.domains
    assert "toy" not in host.domains


def test_a_broken_plugin_blocks_only_a_spec_that_may_need_it(
    write: Write, toy_spec: Path, toy_plugin: Path
) -> None:
    broken = write("import no_such_module")
    assert load_spec(toy_spec, Host([broken, toy_plugin])).stage.domain.name == "toy"
    with pytest.raises(PluginError) as caught:
        load_spec(toy_spec, Host([broken]))
    assert caught.value.exit_code is ExitCode.PLUGIN
    assert "unknown domain 'toy'" in str(caught.value)
    assert "no_such_module" in str(caught.value)


class Point:
    """Stands for an installed distribution's entry point."""

    value = "module"

    def __init__(self, name: str, distribution: str, module: Any) -> None:
        self.name = name
        self.distribution = distribution
        self.module = module

    def load(self) -> Any:
        if isinstance(self.module, Exception):
            raise self.module
        return self.module


def plugin_module(domain: Any) -> ModuleType:
    module = ModuleType("installed")
    module.__dict__["KDSEARCH_API"] = API
    module.__dict__["kdsearch_domains"] = hookimpl(specname="kdsearch_domains")(lambda: [domain])
    return module


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Host]:
    def installer(*points: Point) -> Host:
        entries = [
            Installed(Source(point.name, point.distribution, "1.0"), cast("Any", point))
            for point in points
        ]
        monkeypatch.setattr(host, "installed", lambda: entries)
        return Host()

    return installer


def test_an_installed_plugin_names_its_distribution(
    install: Callable[..., Host], toy_host: Host
) -> None:
    host = install(Point("mine", "kdsearch-mine", plugin_module(toy_host.domain("toy"))))
    assert str(host.domains["toy"].source) == "plugin 'mine' of kdsearch-mine 1.0"


def test_one_broken_distribution_leaves_the_others(
    install: Callable[..., Host], toy_host: Host
) -> None:
    sound = Point("sound", "kdsearch-sound", plugin_module(toy_host.domain("toy")))
    host = install(Point("broken", "kdsearch-broken", ImportError("no torch")), sound)
    assert "toy" in host.domains
    assert "plugin 'broken' of kdsearch-broken 1.0: import failed" in only_problem(host)


def test_two_distributions_with_one_entry_point_name_are_told(
    install: Callable[..., Host], toy_host: Host
) -> None:
    module = plugin_module(toy_host.domain("toy"))
    host = install(Point("same", "kdsearch-a", module), Point("same", "kdsearch-b", module))
    assert "plugin 'same' of kdsearch-b 1.0" in only_problem(host)
    assert "kdsearch-a 1.0" in only_problem(host)


def test_an_import_of_a_heavy_library_at_the_top_is_slow(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # restored afterwards, whatever it was
    del sys.modules["ray"]
    (tmp_path / "ray.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    host = Host([write("import ray")])
    assert host.problems == []
    assert [problem.fault for problem in host.slow] == ["imports ray at its top"]

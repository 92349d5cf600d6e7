"""Distributions of plugins that are broken, each in its own way, for tests and campaigns.

Each offers, or would offer, one domain, loss or ladder of its own name. What `install` writes is
found as any installed distribution is, once its folder is on the path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SOUND = """
import sys
from kdsearch.plugin import API, Answer, Example, Options, Prompt, Scores, Use, hookimpl

KDSEARCH_API = API

class Bad:
    def __repr__(self): raise RuntimeError("no repr")
    __str__ = __eq__ = __ne__ = __hash__ = __bool__ = lambda self, *_: 1 / 0

class Mine:
    name = "{name}"
    version = "1"
    Options = Options
    answer = Answer.TEXT
    use = Use.SEARCH
    metrics = ("accuracy",)
    aggregates = ()
    max_new_tokens = 4
    stop = ()
    def load(self, options): return [Example(str(n), f"{{n}}?", "a") for n in range(300)]
    def format(self, example, options): return Prompt("a", example.question)
    def score(self, predictions, examples): return Scores({{"accuracy": [1.0] * len(examples)}})

@hookimpl
def kdsearch_domains(): return [Mine()]
"""
LOSS = """
class Term:
    name = "{name}"
    version = "1"
    Config = Options
    needs = frozenset()
    def build(self, config, shapes): raise NotImplementedError

@hookimpl
def kdsearch_losses(): return [Term()]
del kdsearch_domains
"""
LADDER = """
class Steps:
    name = "{name}"
    Config = Options
    def sizes(self, config, teacher): return []
    def build(self, size, config, teacher, seed): raise NotImplementedError

@hookimpl
def kdsearch_ladders(): return [Steps()]
del kdsearch_domains
"""
NAMED = b"[kdsearch]\n%s = %s\n"
METADATA = "Metadata-Version: 2.1\nName: kdsearch-{name}\nVersion: 1.0\n"
NO_DOMAIN = "\ndel kdsearch_domains\n"


@dataclass(frozen=True)
class Broken:
    """One broken distribution."""

    name: str
    """Of the distribution without `kdsearch-`, the module, the entry point and what it offers."""
    body: str = ""
    """What follows a sound module, `{name}` filled in."""
    kind: str = "domain"
    entry: bytes | None = None
    """The whole of `entry_points.txt`, if it is no usual one."""
    metadata: str = METADATA
    at_use: bool = False
    """Whether it is listed without a problem, and breaks where a spec names it."""
    raw: bytes | None = None
    """The whole of the module, if it is no text after a sound one."""

    @property
    def setting(self) -> str:
        """What lets a spec need it: a value for `--set`."""
        if self.kind == "loss":
            return f"losses={{answer_ce: {{}}, {self.name}: {{}}}}"
        if self.kind == "ladder":
            return f"ladder={{kind: {self.name}}}"
        return f"domain={{name: {self.name}}}"

    def install(self, folder: Path) -> None:
        """Write the distribution into a folder of a path."""
        text = SOUND + {"loss": LOSS, "ladder": LADDER}.get(self.kind, "")
        module = text.replace("{name}", self.name).replace("{{", "{").replace("}}", "}")
        source = module + "\n" + self.body.replace("{name}", self.name)
        info = folder / f"kdsearch_{self.name}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{self.name}.py").write_bytes(self.raw or source.encode())
        usual = NAMED % (self.name.encode(), self.name.encode())
        (info / "entry_points.txt").write_bytes(usual if self.entry is None else self.entry)
        if self.metadata:
            (info / "METADATA").write_text(self.metadata.format(name=self.name), encoding="utf8")


def _property(name: str, code: str, owner: str = "Mine") -> str:
    return f"def fail(self): {code}\n{owner}.{name} = property(fail)\n"


BROKEN = (
    Broken("missing_import", "import no_such_module_at_all"),
    Broken("syntax_error", "x = ("),
    Broken("null_bytes", raw=b"x = 1\0"),
    Broken("latin1_source", raw="x = 'é'".encode("latin-1")),
    Broken("raises_at_import", "1 / 0"),
    Broken("exits_at_import", "sys.exit(0)"),
    Broken("exits_with_bad_code", "raise SystemExit(Bad())"),
    Broken("interrupts_at_import", "class Stop(KeyboardInterrupt): pass\nraise Stop"),
    Broken("ends_generator", "raise GeneratorExit"),
    Broken("base_exception", "class Gone(BaseException): pass\nraise Gone('gone')"),
    Broken("error_without_text", "class Mute(Exception): __str__ = lambda s: 1 / 0\nraise Mute"),
    Broken("error_exits_in_text", "class M(Exception): __str__ = lambda s: sys.exit()\nraise M"),
    Broken("recursion", "def again(): again()\nagain()"),
    Broken("no_api", "del KDSEARCH_API"),
    Broken("other_api", "KDSEARCH_API = 99"),
    Broken("bad_api", "KDSEARCH_API = Bad()"),
    Broken("no_hook", NO_DOMAIN),
    Broken("hook_with_argument", "@hookimpl\ndef kdsearch_domains(spec): return []"),
    Broken("hook_raises", "@hookimpl\ndef kdsearch_domains(): raise Bad()"),
    Broken("hook_exits", "@hookimpl\ndef kdsearch_domains(): sys.exit('bye')"),
    Broken("hook_yields", "@hookimpl\ndef kdsearch_domains(): yield Mine()"),
    Broken(
        "hook_bad_list",
        "class L(list): __iter__ = lambda s: 1 / 0\n@hookimpl\ndef kdsearch_domains(): return L()",
    ),
    Broken("item_without_repr", "@hookimpl\ndef kdsearch_domains(): return [Bad()]"),
    Broken("property_raises", _property("version", "1 / 0")),
    Broken("property_exits", _property("metrics", "sys.exit(1)")),
    Broken("option_property_raises", _property("scoring", "raise OSError('no disk')")),
    Broken("name_none", "Mine.name = None"),
    Broken("name_unhashable", "Mine.name = []"),
    Broken("name_bad_text", "class S(str): __hash__ = lambda s: 1 / 0\nMine.name = S('x')"),
    Broken("name_with_escapes", r"Mine.name = '\x1b]0;owned\x07\x1b[31m'"),
    Broken("name_is_a_path", "Mine.name = '../../{name}'"),
    Broken("bad_metrics", "Mine.metrics = Bad()"),
    Broken("no_metrics", "Mine.metrics = ()"),
    Broken("answer_unknown", "Mine.answer = 'essay'"),
    Broken("options_are_none", "Mine.Options = None"),
    Broken("needs_raise", _property("needs", "1 / 0", "Term"), kind="loss"),
    Broken("needs_unknown", "Term.needs = {'telepathy'}", kind="loss"),
    Broken("ladder_raises", _property("Config", "1 / 0", "Steps"), kind="ladder"),
    Broken("entry_not_utf8", entry=b"[kdsearch]\nentry_not_utf8 = entry_\xff\n"),
    Broken("entry_without_value", entry=b"[kdsearch]\nentry_without_value\n"),
    Broken("entry_malformed", entry=NAMED % (b"entry_malformed", b"1 2 3 !")),
    Broken("entry_nowhere", entry=NAMED % (b"entry_nowhere", b"entry_nowhere:no.such")),
    Broken("entry_of_a_number", entry=NAMED % (b"entry_of_a_number", b"entry_of_a_number:API")),
    Broken("entry_object", "bad = Bad()", entry=NAMED % (b"entry_object", b"entry_object:bad")),
    Broken("no_metadata", "import no_such_module_at_all", metadata=""),
    Broken(
        "options_raise",
        "from pydantic import field_validator\n"
        "class Strange(Options):\n"
        "    x: int = 1\n"
        "    def model_post_init(self, context): raise RuntimeError('in options')\n"
        "Mine.Options = Strange",
        at_use=True,
    ),
    Broken(
        "with_options_exits", "Mine.with_options = lambda self, options: sys.exit(4)", at_use=True
    ),
    Broken(
        "views_raise",
        "class Config(Options):\n    @property\n    def views(self): return 1 / 0\n"
        "Term.Config = Config",
        kind="loss",
        at_use=True,
    ),
    Broken(
        "more_needs_exit",
        "class Config(Options):\n    @property\n    def needs(self): sys.exit(5)\n"
        "Term.Config = Config",
        kind="loss",
        at_use=True,
    ),
)
"""Each in another way; a test and `benchmarks.mutations` install them one by one and together."""

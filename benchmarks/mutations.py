"""Mutate tables, specs and plugins, and count how commands end: nobody may see a traceback.

    python -m benchmarks.mutations [--tables 500] [--specs 3000] [--seed 0] [--json]

A violation is: an exit code that is none of 0, 2 and 3, more than a line an error, a traceback, a
control character on the terminal, or an error that names neither file, line, key nor plugin. Each
kind is a function of its own, so that a test runs a small share.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import logging
import sys
import tempfile
import unicodedata
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from click.testing import CliRunner

from benchmarks.broken_plugins import BROKEN
from benchmarks.sound_tables import SOUND
from kdsearch.cli import main as kdsearch
from kdsearch.errors import ExitCode
from kdsearch.report.visible import OBEYED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

ROOT = Path(__file__).parent.parent
TOY = ROOT / "tests" / "fixtures" / "toy_domain.py"
SPECS = (ROOT / "tests" / "fixtures" / "toy.yaml", *sorted((ROOT / "specs").glob("*.yaml")))
ALLOWED = (0, 2, 3)
DEEP = "[" * 3000 + "]" * 3000

NASTY: Sequence[Any] = (
    None, True, -1, 0, 2**31, 10**13, 10**400, 1e308, -0.0, 1e-320, "", " ", "\x00", "\x1b[2J\x07",
    "\u202etxt.exe", "\u2028", "\ud800", "\ufeff", "a: b", "- x", "*x", "&x", "!!python/name:os",
    "../../x", "/etc", "A" * 20_000, [], {}, [[]], [None], {"": 0}, {"choice": []}, [1, "a", {}],
    {"uniform": [0, 1]}, {"loguniform": [1e-9, 1]}, {"choice": [1, 10**13]}, {"grid": [1, 2]},
)  # fmt: skip
"""Values that stand where others are expected."""

BYTES: Sequence[bytes] = (
    b"\x00", b"\x1b[31m", b"\xff", b"\xed\xa0\x80", b"\r", b"\n\n", b'"', b"\\", b",", b"\t", b"{",
    b"]", b"\xe2\x80\xae", b"\xc2\x9b", b"\xef\xbb\xbf", b'\\ud800', b"NaN", b"1e999", b"9" * 5000,
    DEEP.encode(), b"'", b":", b"#", b"- ", b"%", b"|", b"&a ", b"*a", b"x" * 140_000,
)  # fmt: skip
"""What is put in anywhere."""


class Ended(NamedTuple):
    """How one command ended."""

    name: str
    code: int
    violation: str = ""


def ended(name: str, arguments: Sequence[object], named: Sequence[str]) -> Ended:
    """Run a command in this process and judge how it ends.

    Args:
        name: What was mutated.
        arguments: Of `kdsearch`.
        named: Words of which an error says one.
    """
    try:
        # In colour, for otherwise click itself takes escapes out where there is no terminal.
        result = CliRunner().invoke(kdsearch, [str(each) for each in arguments], color=True)
    except BaseException as error:  # what not even the command's last handler stopped
        if type(error) is KeyboardInterrupt:
            raise
        return Ended(name, ExitCode.INTERNAL, f"it raised {type(error).__name__}")
    text = result.stdout + result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    obeyed = {each for each in text if unicodedata.category(each) in OBEYED} - set("\n\t")
    fault = ""
    if result.exit_code not in ALLOWED:
        fault = f"exit code {result.exit_code}: {result.stderr[-300:]} {result.exception!r:.300}"
    elif "Traceback" in text:
        fault = "a traceback"
    elif obeyed:
        fault = f"control characters {sorted(map(ascii, obeyed))}"
    elif result.exit_code and not errors:
        fault = "no error is told"
    elif result.exit_code and not any(word in line for word in named for line in errors):
        fault = f"nothing is named: {errors[0]}"
    return Ended(name, result.exit_code, fault)


def mutated_bytes(content: bytes, random: Random) -> bytes:
    """Return a text with up to three faults of encoding, form or order."""
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(content) + 1)
        end = min(len(content), at + random.randint(1, 40))
        lines = content.split(b"\n")
        place, other = random.randrange(len(lines)), random.randrange(len(lines))
        match random.randrange(11):
            case 0:
                content = content[:at] + content[end:]
            case 1:
                content = content[:at]
            case 2:
                flipped = bytes(byte ^ 1 << random.randrange(8) for byte in content[at : at + 1])
                content = content[:at] + flipped + content[at + 1 :]
            case 3:
                lines[place], lines[other] = lines[other], lines[place]
                content = b"\n".join(lines)
            case 4:
                content = b"\n".join([*lines[:place], lines[other], *lines[place:]])
            case 5:
                content = b"\n".join([*lines[:place], *lines[place + 1 :]])
            case 6 if random.random() < 0.2:
                whole = (content.decode("utf8", "replace").encode("utf-16"), gzip.compress(content))
                content = random.choice((*whole, content.replace(b"\n", b"\r"), b""))
            case _:
                content = content[:at] + random.choice(BYTES) + content[at:]
    return content


def mutated_json(text: str, random: Random) -> bytes:
    """Return JSON, one value a line or one in all, with nasty values in place of some."""
    whole = not text.startswith("{")
    values = json.loads(text) if whole else [json.loads(line) for line in text.splitlines()]
    for _ in range(random.randint(1, 3)):
        place_nasty(values, random)
    dumped = [json.dumps(value, ensure_ascii=random.random() < 0.9) for value in values]
    joined = f"[{', '.join(dumped)}]" if whole else "\n".join(dumped)
    return joined.encode("utf8", "surrogatepass")


def place_nasty(data: Any, random: Random) -> None:
    """Put a nasty value or key somewhere into a list or mapping, or take a key away."""
    while True:
        keys = list(data) if isinstance(data, dict) else list(range(len(data)))
        key = random.choice(keys)
        inner = data[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.75:
            data = inner
            continue
        if isinstance(data, dict) and random.random() < 0.25:
            del data[key]
            if random.random() < 0.5:
                data[str(random.choice(NASTY))] = inner
        else:
            data[key] = random.choice(NASTY)
        return


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings about skipped rows from being printed a thousand times."""
    logger = logging.getLogger("kdsearch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def tables(count: int, seed: int, report: Callable[[Ended], None]) -> None:
    """Plan searches on mutated tables of every first-party domain, and on mutated answers."""
    with _quiet(), tempfile.TemporaryDirectory() as home:
        for number in range(count):
            random = Random(f"{seed}-table-{number}")
            sound = SOUND[number % len(SOUND)]
            folder = Path(home) / str(number)
            folder.mkdir()
            by_value = sound.text[0] in "[{" and random.random() < 0.5
            content = (
                mutated_json(sound.text, random)
                if by_value
                else mutated_bytes(sound.text.encode(), random)
            )
            spec = sound.write(folder, content)
            # A table may also be sound by itself and too small for its splits.
            files = [sound.file, *sound.beside]
            named = [*(str(folder / file) for file in files), f"domain '{sound.domain}'"]
            loaded = [f"--plugin={folder / file}" for file in files if file.endswith(".py")]
            name = f"{number} {sound.domain} {sound.file}"
            report(ended(name, ["plan", spec, *loaded], named))


def specs(count: int, seed: int, report: Callable[[Ended], None]) -> None:
    """Validate mutated specs."""
    from ruamel.yaml import YAML

    texts = [path.read_text(encoding="utf8") for path in SPECS]
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "spec.yaml"
        for number in range(count):
            random = Random(f"{seed}-spec-{number}")
            text = random.choice(texts)
            if random.random() < 0.5:
                data = YAML(typ="safe").load(text)
                for _ in range(random.randint(1, 2)):
                    place_nasty(data, random)
                # JSON is YAML; a number of 400 digits is JSON too.
                content = json.dumps(data).encode()
            else:
                content = mutated_bytes(text.encode(), random)
            file.write_bytes(content)
            report(ended(f"{number}", ["validate", file, "--plugin", TOY], [str(file), "plugin"]))


def plugins(report: Callable[[Ended], None]) -> None:
    """Validate a spec beside each broken distribution, and one that needs it."""
    toy = ["validate", SPECS[0], "--plugin", TOY]
    for broken in BROKEN:
        with tempfile.TemporaryDirectory() as site:
            broken.install(Path(site))
            sys.path.insert(0, site)
            importlib.invalidate_caches()
            try:
                beside = ended(broken.name, toy, [broken.name])
                needing = ended(broken.name, [*toy, "--set", broken.setting], [broken.name])
            finally:
                sys.path.remove(site)
        for found, code in ((beside, 0), (needing, 3)):
            wrong = "" if found.code == code else f"exit code {found.code}, not {code}"
            report(found._replace(violation=found.violation or wrong))


KINDS = ("tables", "specs", "plugins")


def campaign(table_count: int, spec_count: int, seed: int) -> dict[str, list[Ended]]:
    """Run all kinds and return how every command ended, by kind."""
    found: dict[str, list[Ended]] = {kind: [] for kind in KINDS}
    tables(table_count, seed, found["tables"].append)
    specs(spec_count, seed, found["specs"].append)
    plugins(found["plugins"].append)
    return found


def main() -> None:
    """Print a table of exit codes and violations, then each violation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--specs", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = campaign(given.tables, given.specs, given.seed)
    rows = []
    for kind, all_ended in found.items():
        codes = Counter(each.code for each in all_ended)
        violations = [each for each in all_ended if each.violation]
        rows.append((kind, len(all_ended), codes, violations))
    if given.json:
        for kind, count, codes, violations in rows:
            told = [each._asdict() for each in violations]
            print(json.dumps({"kind": kind, "commands": count, "codes": codes, "violations": told}))
        return
    columns = "".join(f"{f'exit {code}':>8}" for code in ALLOWED)
    print(f"{'mutated':<10}{'commands':>9}{columns}{'other':>8}{'violations':>12}")
    for kind, count, codes, violations in rows:
        shown = "".join(f"{codes[code]:>8}" for code in ALLOWED)
        other = count - sum(codes[code] for code in ALLOWED)
        print(f"{kind:<10}{count:>9}{shown}{other:>8}{len(violations):>12}")
    for kind, _, _, violations in rows:
        for each in violations:
            print(f"{kind} {each.name}: {each.violation}")
    sys.exit(any(violations for *_, violations in rows))


if __name__ == "__main__":
    main()

"""Numbers as a person reads them, the same in every line and table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NONE = "-"
"""Stands where there is no number."""

_SCALES = ((1_000_000_000, "B", 99.95), (1_000_000, "M", 99.95), (1_000, "k", 9.95))
"""Each with the value from which its decimal is dropped."""


def parameters(count: int | None) -> str:
    """Return a short count: 850, 4.1k, 147k, 1.2M, 135M."""
    if count is None:
        return NONE
    for scale, letter, whole_from in _SCALES:
        value = count / scale
        if value >= 0.9995:  # 999,600 reads 1.0M rather than 1000k
            return f"{value:.0f}{letter}" if value >= whole_from else f"{value:.1f}{letter}"
    return str(count)


def measure(count: int | None) -> str:
    """Return a teacher's parameters in words; one without any is a black box."""
    return "a black box" if count is None else f"{parameters(count)} parameters"


def score(value: float | None) -> str:
    """Return a score in 0..1 to three decimals."""
    return NONE if value is None else f"{value:.3f}"


def figure(name: str, value: float, bounds: Sequence[float] | None) -> str:
    """Return a named score with its interval, if it has one: macro_f1 0.612 0.580-0.644."""
    interval = f" {'-'.join(map(score, bounds))}" if bounds else ""
    return f"{name} {score(value)}{interval}"


def points(value: float | None) -> str:
    """Return a difference of scores in signed points: +1.2, 0.0, -3.4."""
    if value is None:
        return NONE
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def width(value: float) -> str:
    """Return an unsigned span of scores in points: 3.0."""
    return f"{100 * value:.1f}"


def percent(value: float | None) -> str:
    """Return a share as a percentage: 15%, and 0.4% below one."""
    if value is None:
        return NONE
    hundredths = 100 * value
    small = 0 < hundredths < 0.95
    return f"{max(hundredths, 0.1):.1f}%" if small else f"{hundredths:.0f}%"


def probability(value: float) -> str:
    """Return a p-value with its sign: = 0.031, < 0.001."""
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"


def flops(value: float) -> str:
    """Return floating-point operations in powers of ten: 3.1e14."""
    return f"{value:.1e}".replace("e+", "e").replace("e0", "e") if value else "0"


def size(count: float) -> str:
    """Return bytes in decimal units: 812 B, 3.1 MB, 24 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 9.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def clock(seconds: float) -> str:
    """Return a time as 02:05, or 1:02:05 from an hour on."""
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def duration(seconds: float) -> str:
    """Return a duration in words: 48 s, 2 min 14 s, 1 h 5 min."""
    whole = round(max(0.0, seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def about(seconds: float) -> str:
    """Return a guessed duration in few digits: about 40 s, about 4 min, about 1 h 5 min."""
    if seconds < 95:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    minutes = round(seconds / 60)
    return f"about {minutes} min" if minutes < 60 else f"about {duration(60 * minutes)}"


def noun(count: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun: 1 trial, 3 trials."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def known(count: int | None) -> str:
    """Return a whole count, or that it is not known."""
    return "unknown" if count is None else f"{count:,}"


def last_line(text: str) -> str:
    """Return the last line that says something: of a traceback, the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"

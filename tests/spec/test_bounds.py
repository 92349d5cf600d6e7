"""Counts that are a slip of the hand, and shares that do not add up, are refused by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kdsearch.errors import SpecError
from kdsearch.spec.loading import load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin.host import Host

BILLION = 10**13


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (f"search.configurations_per_size={BILLION}", "less than or equal to 1000, not"),
        (f"search.seed={BILLION}", "less than or equal to 2147483647, not"),
        (f"match.seeds={BILLION}", "3 to 100 for its recipe, not"),
        (f"train.max_steps={BILLION}", "less than or equal to 1000000000, not"),
        (f"train.batch_size={BILLION}", "less than or equal to 1000000, not"),
        (f"train.evaluations={BILLION}", "less than or equal to 100000, not"),
        (f"train.gradient_accumulation={BILLION}", "less than or equal to 1000000, not"),
        (f"prompt.max_tokens={BILLION}", "less than or equal to 10000000, not"),
        (f"resources.cpus={BILLION}", "less than or equal to 10000, not"),
        (f"splits.dev={BILLION}", "a whole count from 1 to 1,000,000,000 or a share"),
        (f"ladder.sizes.small.layers={BILLION}", "less than or equal to 10000, not"),
        (f"ladder.sizes.small.d_model={BILLION}", "less than or equal to 1000000, not"),
        (f"cache.top_k={BILLION}", "less than or equal to 1000000, not"),
        (f"train.max_steps=0x{'f' * 5000}", "a whole number of more than 300 digits"),
        (r'name="\ud800"', r"half of a surrogate pair, \ud800, is no character"),
        ("match.margin=3", "a share of 1, not 3: 3 points = 0.03"),
        ("match.confidence=95", "a share of 1, not 95: 95 points = 0.95"),
        ("resources.gpus=1.5", "a whole count, or a share of one up to 1, not 1.5"),
        ("splits={dev: 0.6, confirm: 0.5}", "dev 0.6 + confirm 0.5 = 1.1 of the examples"),
        ("splits={dev: 0.5, confirm: 0.5}", "nothing is left for train"),
        ("splits={dev: 1.5}", "or a share between 0 and 1, not 1.5"),
        ("name=true", "not true (to mean it as text, quote it: "),
        ("domain.name=[toy]", "(to mean it as text, quote it: "),
        ("name=a: b: c", """quote a text for YAML and for the shell: --set 'name="a: b: c"'"""),
    ],
)
def test_it_is_refused_at_its_key(toy_spec: Path, toy_host: Host, override: str, told: str) -> None:
    with pytest.raises(SpecError, match=re.escape(told)) as caught:
        load_spec(toy_spec, toy_host, [override])
    assert override.partition("=")[0].split(".")[-1] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "search.configurations_per_size=40",
        "splits={train: 0.7, dev: 0.2, confirm: 0.1}",
        "splits={train: rest, dev: 0.2, confirm: 0.79}",
        "match.margin=0.99",
        "resources.gpus=0.5",
        "resources.gpus=2",
        "train.warmup=50",
        'name="true"',
    ],
)
def test_what_is_possible_stays_so(toy_spec: Path, toy_host: Host, override: str) -> None:
    assert load_spec(toy_spec, toy_host, [override]) != load_spec(toy_spec, toy_host)

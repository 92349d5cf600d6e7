"""What every loss is tested for: a student learns from it, however a batch is split."""

from __future__ import annotations

from math import isfinite
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from kdsearch.plugin.api import Loss, Signal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kdsearch.distill.probe import Probe


class LossContract:
    """The tests that every loss passes; inherit from it, with pytest.

    They train nothing: a student of 2 layers and a teacher of 4, T5 and Llama-type, read six
    questions with options and, some of them, rationales.
    """

    loss: Loss
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Its part of a spec, `weight` left out."""
    student_width: int = 16
    """The teacher is 16 wide."""
    families: Sequence[str] = ("t5", "llama")
    """Which models it is for."""

    def test_it_states_what_it_is(self) -> None:
        """Every attribute of the contract is there, and of its kind."""
        assert isinstance(self.loss, Loss), "an attribute or method of the contract is missing"
        assert self.loss.name.isidentifier(), f"{self.loss.name!r} is no name of letters and _"
        assert isinstance(self.loss.version, str), "version is text, such as '1'"
        assert set(self.loss.needs) <= set(Signal), f"needs are of {', '.join(Signal)}"

    def test_unknown_options_are_refused(self) -> None:
        """A misspelt key of the spec is no silent default."""
        extra = self.loss.Config.model_config.get("extra")
        assert extra == "forbid", "inherit Options from kdsearch.plugin.Options"

    def test_a_student_can_learn_from_it(self) -> None:
        """Value and gradient are finite, and the gradient is none of zeros."""
        for family in self.families:
            found = self._probe(family, [6])
            assert isfinite(found.value), f"it is {found.value} ({family})"
            assert bool(found.gradient.isfinite().all()), f"its gradient is not finite ({family})"
            assert bool(found.gradient.any()), f"no weight of the student is moved ({family})"
            assert found.heads, f"a weight of its own is never moved ({family})"

    def test_it_is_the_same_however_a_batch_is_split(self) -> None:
        """Sums are divided by the counts of the whole window; padding counts nothing."""
        for family in self.families:
            whole = self._probe(family, [6])
            for split in ([3, 3], [1, 2, 3], [1] * 6):
                parts = self._probe(family, split)
                off = abs(parts.value - whole.value)
                assert off <= 1e-4 * max(1.0, abs(whole.value)), (
                    f"{whole.value} in one batch and {parts.value} in batches of {split} "
                    f"({family}): divide sums by inputs.window_counts, and leave padding out"
                )
                gradient = float((parts.gradient - whole.gradient).abs().max())
                assert gradient <= 1e-4, f"its gradient differs by {gradient} ({family})"

    def _probe(self, family: str, batches: Sequence[int]) -> Probe:
        from kdsearch.distill.probe import probe

        causal = family != "t5"
        width = self.student_width
        return probe(self.loss, self.options, batches, causal=causal, student_width=width)

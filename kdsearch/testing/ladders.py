"""What every ladder is tested for: exact counts, students that are made again and loaded."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from kdsearch.facts import facts_of_folder
from kdsearch.plugin.api import Ladder, Student
from kdsearch.plugin.preparing import Preparation, PreparedLadder
from kdsearch.testing.models import tiny_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from kdsearch.facts import ModelFacts
    from kdsearch.plugin.api import Size


ROWS = (([5, 6, 7, 8, 1], [10, 1]), ([9, 1], [11, 12, 13, 1]), ([4, 3, 5, 1], [15, 1]))
"""Source and target of what a ladder may learn from."""


class Prepared(NamedTuple):
    """A ladder with a teacher that is ready."""

    ladder: Ladder
    config: Any
    teacher: ModelFacts
    sizes: list[Size]
    folder: Path
    """What its preparation wrote, if it has one."""

    def build(self, size: Size, seed: int = 0) -> Student:
        """Build the student of a size."""
        asked = (size, self.config, self.teacher, seed)
        if isinstance(self.ladder, PreparedLadder):
            return self.ladder.build(*asked, prepared=self.folder)
        return self.ladder.build(*asked)


class LadderContract:
    """The tests that every ladder passes; inherit from it, with pytest.

    The teachers are tiny models of three layers and width 16 that read bytes.
    """

    ladder: Ladder
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Its part of a spec, `kind` left out."""
    families: Sequence[str] = ("t5", "llama")
    """Which teachers it makes students of."""

    def prepared(self, family: str, folder: Path) -> Prepared:
        """Store a tiny teacher and let the ladder prepare itself."""
        from kdsearch.distill.students import byte_tokenizer

        model, tokenizer = tiny_model(family, 16, 3, 1), byte_tokenizer()
        place = folder / family
        model.save_pretrained(place)
        tokenizer.save_pretrained(place)
        config, teacher = self.ladder.Config(**self.options), facts_of_folder(place)
        given = folder / f"{family}-prepared"
        given.mkdir()
        if isinstance(self.ladder, PreparedLadder):
            sources, targets = zip(*ROWS, strict=True)
            asked = Preparation(model, tokenizer, sources, targets, ["1 + 1 = 2"], given)
            self.ladder.prepare(config, teacher, asked)
        sizes = self.ladder.sizes(config, teacher)
        return Prepared(self.ladder, config, teacher, sizes, given)

    def test_it_states_what_it_is(self) -> None:
        """Every attribute of the contract is there, and of its kind."""
        assert isinstance(self.ladder, Ladder), "an attribute or method of the contract is missing"
        name = self.ladder.name
        assert name.isidentifier(), f"{name!r} is no name of letters, digits and _"

    def test_unknown_options_are_refused(self) -> None:
        """A misspelt key of the spec is no silent default."""
        extra = self.ladder.Config.model_config.get("extra")
        assert extra == "forbid", "inherit Config from kdsearch.plugin.Options"

    def test_sizes_differ(self, tmp_path: Path) -> None:
        """Each size has a name of its own."""
        for family in self.families:
            names = [size.name for size in self.prepared(family, tmp_path).sizes]
            assert names, "there are no sizes"
            assert len(set(names)) == len(names), f"{family}: two sizes have one name"

    def test_parameters_are_counted_exactly(self, tmp_path: Path) -> None:
        """What `sizes` counts without torch is what `build` builds."""
        from kdsearch.distill.students import count_parameters

        for family in self.families:
            ready = self.prepared(family, tmp_path)
            for size in ready.sizes:
                model = ready.build(size).model
                built = count_parameters(model)
                assert built == size.parameters, f"{family} {size.name}: {built} parameters built"
                table = model.get_input_embeddings().weight
                assert table.numel() == size.embedding_parameters, "other embedding_parameters"
                tied = model.get_output_embeddings().weight is table
                assert tied == size.head_tied, f"{family} {size.name}: head_tied is not so"

    def test_a_student_is_made_again_and_loads_as_it_was_saved(self, tmp_path: Path) -> None:
        """The same seed gives the same model, and its folder loads by `from_pretrained`."""
        import torch

        from kdsearch.distill.loading import load_student

        for family in self.families:
            ready = self.prepared(family, tmp_path)
            first, again = (ready.build(ready.sizes[0]).model.state_dict() for _ in range(2))
            same = all(torch.equal(first[name], again[name]) for name in first)
            assert same, f"{family}: the same seed builds another student"
            student, place = ready.build(ready.sizes[0]), tmp_path / f"{family}-student"
            student.model.save_pretrained(place)
            student.tokenizer.save_pretrained(place)
            loaded = load_student(place)
            same = torch.allclose(_said(student), _said(loaded), atol=1e-5)
            assert same, f"{family}: it is another once it is loaded"


def _said(student: Student) -> Any:
    """Return a student's logits for a few tokens."""
    import torch

    ids = torch.tensor([student.tokenizer("1 + 1 =")["input_ids"]])
    given = {"decoder_input_ids": ids} if student.model.config.is_encoder_decoder else {}
    with torch.inference_mode():
        return student.model.eval().cpu()(input_ids=ids, **given).logits

"""Each bug that was found in other projects' distillation, on T5 and causal models.

Those of METHODS that need no reference are tested elsewhere as well: rows that are matched by
order in `test_sources`, training values that never arrive in `test_trainer`, confirm that is read
too early in `test_run`, a run folder that is overwritten in `cluster/test_search`.
"""

from __future__ import annotations

import ast
import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

import kdsearch
from kdsearch.distill.data import Collator
from kdsearch.distill.module import DistillationModel, Term
from kdsearch.distill.passes import collate, forward
from kdsearch.distill.sources import CachedSignals, OnlineSignals
from kdsearch.distill.trainer import DistillationTrainer
from kdsearch.plugin import SignalRequest
from tests.distill.reference import LOSSES, SPLITS, TEXTS, Case, agree, expected, measured, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.distill.reference import Formula, Said


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def causal(request: Any) -> bool:
    return bool(request.param)


@pytest.fixture
def build(causal: bool, tiny: Any, tiny_causal: Any) -> Callable[..., Any]:
    return lambda *args, **kw: (tiny_causal if causal else tiny)(*args, **kw).model


@pytest.fixture
def case(causal: bool, build: Any) -> Case:
    """Return a student of another width than its teacher."""
    return Case(causal, build(8), build(16, seed=1))


def answer_ce(smoothing: float = 0.0) -> Formula:
    def formula(student: Said, _: Said, target: Sequence[int], __: Any) -> Tensor:
        logs = student.logits.log_softmax(-1)
        gold = torch.stack([logs[at, token] for at, token in enumerate(target)]).sum()
        return -(1 - smoothing) * gold - smoothing * logs.mean(-1).sum()

    return formula


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p.log() - q.log())).sum()


DIRECTIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    "forward": kl,
    "reverse": lambda p, q: kl(q, p),
    "jsd": lambda p, q: 0.5 * kl(p, 0.5 * p + 0.5 * q) + 0.5 * kl(q, 0.5 * p + 0.5 * q),
    "skew": lambda p, q: kl(p, 0.1 * p + 0.9 * q),
}


def soft_labels(temperature: float, direction: str = "forward", shared: int = 259) -> Formula:
    def formula(student: Said, teacher: Said, _: Any, __: Any) -> Tensor:
        pairs = zip(teacher.logits[:, :shared], student.logits[:, :shared], strict=True)
        return (
            temperature**2
            * torch.stack(
                [
                    DIRECTIONS[direction](
                        (p / temperature).softmax(-1), (q / temperature).softmax(-1)
                    )
                    for p, q in pairs
                ]
            ).sum()
        )

    return formula


def kept_labels(temperature: float, k: int, shared: int = 259) -> Formula:
    """The largest logits of the teacher, as float16 keeps them, and all others in one bucket."""

    def formula(student: Said, teacher: Said, _: Any, __: Any) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        pairs = zip(teacher.logits[:, :shared], student.logits[:, :shared], strict=True)
        for other, own in pairs:
            top, ids = (other - other.max()).topk(k)
            kept = (other / temperature).softmax(-1)[ids].sum()
            p = kept * (top.half().double() / temperature).softmax(-1)
            q = (own / temperature).softmax(-1)
            rest = 1 - q[ids].sum()
            total = total + kl(p, q[ids]) + kl(1 - kept, rest)
        return temperature**2 * total

    return formula


def last_hidden(stack: str, *, normalize: bool = False) -> Formula:
    def formula(student: Said, teacher: Said, _: Any, heads: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for own, other in zip(student.states[stack][-1], teacher.states[stack][-1], strict=True):
            ours, theirs = heads["projection.weight"] @ own, other
            if normalize:
                ours, theirs = ours / ours.norm(), theirs / theirs.norm()
            total = total + ((ours - theirs) ** 2).sum() / len(theirs)
        return total

    return formula


def check(
    case: Case,
    name: str,
    options: Mapping[str, Any],
    formula: Formula,
    folder: Path,
    *,
    unit: str = "target_tokens",
    split: tuple[int, int] = SPLITS[0],
) -> None:
    """Compare what a trial computes with float64."""
    found = measured(case, name, options, folder, split)
    agree(found, expected(case, name, formula, unit, found.heads))


@pytest.mark.parametrize(("split", "smoothing"), [*zip(SPLITS, [0.0, 0.1, 0.0], strict=True)])
def test_a_loss_is_divided_by_the_windows_tokens_once(
    case: Case, split: Any, smoothing: float, tmp_path: Path
) -> None:
    options = {"label_smoothing": smoothing}
    check(case, "answer_ce", options, answer_ce(smoothing), tmp_path, split=split)


@pytest.mark.parametrize(
    ("direction", "temperature"),
    [*[("forward", t) for t in (1.0, 2.0, 4.0)], ("reverse", 4.0), ("jsd", 2.0), ("skew", 4.0)],
)
def test_the_square_of_the_temperature_is_on_value_and_gradient(
    case: Case, temperature: float, direction: str, tmp_path: Path
) -> None:
    options = {"temperature": temperature, "direction": direction}
    check(case, "soft_labels", options, soft_labels(temperature, direction), tmp_path)


@pytest.mark.parametrize("split", SPLITS[1:], ids=str)
def test_a_divergence_sums_over_the_vocabulary_and_not_over_padding(
    case: Case, split: Any, tmp_path: Path
) -> None:
    check(case, "soft_labels", {"temperature": 2}, soft_labels(2), tmp_path, split=split)


def test_masks_are_shifted_as_the_logits_are(case: Case, tmp_path: Path) -> None:
    case.texts = [([9, 8, 7, 6, 1], [20, 1]), ([5, 1], [21, 22, 23, 1])]
    check(case, "answer_ce", {}, answer_ce(), tmp_path, split=(2, 1))
    check(case, "soft_labels", {}, soft_labels(1), tmp_path, split=(2, 1))


@pytest.mark.parametrize("target", [[20], [0], [1]], ids=["letter", "padding id", "end"])
def test_an_answer_of_one_token_counts(case: Case, target: list[int], tmp_path: Path) -> None:
    case.texts = [([5, 6, 1], target), ([7, 1], [20, 21, 1])]
    check(case, "answer_ce", {}, answer_ce(), tmp_path, split=(2, 1))
    check(case, "soft_labels", {}, soft_labels(1), tmp_path, split=(2, 1))


def test_the_end_counts_though_it_pads(case: Case, tmp_path: Path) -> None:
    end = case.student.config.eos_token_id
    for model in (case.student, case.teacher):
        model.config.pad_token_id = end
    if case.causal:
        check(case, "answer_ce", {}, answer_ce(), tmp_path)
        check(case, "soft_labels", {}, soft_labels(1), tmp_path)
    batch = Collator(end, causal=case.causal)(
        [{"input_ids": source, "labels": target} for source, target in TEXTS]
    )
    assert int((batch["labels"] == end).sum()) == sum(end in target for _, target in TEXTS)


@pytest.mark.parametrize(
    ("split", "normalize"), [*zip(SPLITS, [False, True, True], strict=True)], ids=str
)
def test_states_of_another_width_are_matched_token_by_token(
    case: Case, split: Any, normalize: bool, tmp_path: Path
) -> None:
    for stack, unit in (("decoder", "target_tokens"), ("encoder", "source_tokens")):
        if stack == "encoder" and case.causal:
            continue
        options = {"stack": stack, "normalize": normalize}
        formula = last_hidden(stack, normalize=normalize)
        check(case, "hidden_mse", options, formula, tmp_path, unit=unit, split=split)


@pytest.mark.parametrize("top_k", [None, 259])
def test_stored_signals_follow_their_rows(
    case: Case, top_k: int | None, stored: Any, tmp_path: Path
) -> None:
    case.texts = [*reversed(TEXTS), TEXTS[2]]
    request = SignalRequest(True, (2.0,) if top_k else (), top_k=top_k)
    store = CachedSignals(stored(tmp_path, copy.deepcopy(case.teacher), case.rows, request))
    found = measured(case, "soft_labels", {"temperature": 2}, tmp_path, (1, 7), store)
    agree(found, expected(case, "soft_labels", soft_labels(2), "target_tokens", {}))


CHANGED: Mapping[str, Mapping[str, Any]] = {
    "answer_ce": {"label_smoothing": 0.2},
    "soft_labels": {"temperature": 2.0, "direction": "reverse", "beta": 0.2, "skew": 0.5},
    "hidden_mse": {
        "distance": "cosine",
        "layers": "uniform",
        "stack": "encoder",
        "project": "teacher",
        "normalize": True,
    },
    "attention_relations": {
        "stack": "decoder",
        "teacher_layer": 1,
        "heads": 1,
        "relations": ["keys"],
    },
}
"""By loss, another value of each option."""

READ_WITH: Mapping[str, Mapping[str, Any]] = {
    "beta": {"direction": "jsd"},
    "skew": {"direction": "skew"},
}
"""Other options without which one is not read."""


@pytest.mark.parametrize("name", CHANGED)
def test_every_option_reaches_its_loss(case: Case, name: str, tmp_path: Path) -> None:
    from_elsewhere = {"labels"}  # changes the rows: see test_data
    assert {*CHANGED[name]} == {*LOSSES[name].Config.model_fields} - from_elsewhere
    for option, value in CHANGED[name].items():
        if option == "stack" and case.causal:
            continue
        usual = READ_WITH.get(option, {})
        one, other = (
            measured(case, name, {**usual, **changed}, tmp_path)
            for changed in ({}, {option: value})
        )
        assert one.value != other.value, option


def test_the_heads_of_losses_stay_outside_of_the_student(case: Case, tmp_path: Path) -> None:
    loss = LOSSES["hidden_mse"]
    head = loss.build(loss.Config(), case.shapes)
    assert list(head.parameters())
    model = DistillationModel(case.student, {"hidden_mse": Term(head, 1.0)}, needs=loss.needs)
    DistillationTrainer(model=model)._save(str(tmp_path))
    kind: Any = AutoModelForCausalLM if case.causal else AutoModelForSeq2SeqLM
    plain, report = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert not report["missing_keys"]
    for own, other in zip(plain.parameters(), case.student.parameters(), strict=True):
        assert torch.equal(own, other)


@pytest.mark.parametrize("top_k", [None, 16, 90])
def test_padding_of_the_vocabulary_is_no_token(
    causal: bool, build: Any, top_k: int | None, tmp_path: Path
) -> None:
    case = Case(causal, build(8, vocabulary=272), build(16, 1, vocabulary=265), tokens=259)
    with torch.no_grad():  # padding that a teacher believes in
        case.teacher.get_output_embeddings().weight[259:].mul_(5.0)
    options = {"temperature": 2.0}
    request = case.request("soft_labels", options, top_k=top_k)
    found = measured(
        case, "soft_labels", options, tmp_path, source=OnlineSignals(case.teacher, request)
    )
    formula = soft_labels(2.0) if top_k is None else kept_labels(2.0, top_k)
    agree(found, expected(case, "soft_labels", formula, "target_tokens", {}))


def test_a_student_may_have_fewer_entries_than_its_teacher(
    causal: bool, build: Any, stored: Any, tmp_path: Path
) -> None:
    case = Case(causal, build(8), build(16, 1, vocabulary=272), tokens=259)
    with torch.no_grad():
        case.teacher.get_output_embeddings().weight[259:].mul_(5.0)
    request = case.request("soft_labels", {}, top_k=5)
    store = CachedSignals(stored(tmp_path, copy.deepcopy(case.teacher), case.rows, request))
    found = measured(case, "soft_labels", {}, tmp_path, source=store)
    agree(found, expected(case, "soft_labels", kept_labels(1.0, 5), "target_tokens", {}))


def test_the_objective_is_asked_of_the_wrapped_model(case: Case) -> None:
    """Synchronisation of gradients lives in the wrapper's own forward."""
    head = LOSSES["answer_ce"].build(LOSSES["answer_ce"].Config(), case.shapes)
    model = DistillationModel(case.student, {"answer_ce": Term(head, 1.0)})

    class Wrapper(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module, self.calls = model, 0

        def forward(self, **batch: Any) -> Any:
            self.calls += 1
            return self.module(**batch)

    wrapper, trainer = Wrapper(), DistillationTrainer(model=model)
    trainer.state.max_steps = 1
    rows = [{"input_ids": source, "labels": target} for source, target in TEXTS]
    batch = Collator(0, causal=case.causal)(rows)
    counts = {name: torch.tensor(count) for name, count in case.counts.items()}
    trainer.compute_loss(wrapper, {**batch, "window_counts": counts})
    assert wrapper.calls == 1


def test_logits_at_targets_alone_are_those_of_the_whole_sequence(case: Case) -> None:
    sources, targets = zip(*TEXTS, strict=True)
    ours = forward(case.student, collate(sources, targets, 0, causal=case.causal)).logits
    for row, (source, target) in enumerate(TEXTS):
        plain = said(case.student, source, target).logits
        torch.testing.assert_close(ours[row, : len(target)], plain, atol=1e-5, rtol=1e-5)


def test_no_text_is_ever_run_as_code() -> None:
    """A model's answer is data: it is parsed, never evaluated."""
    root = Path(kdsearch.__file__).parents[1]
    files = [*root.glob("kdsearch/**/*.py"), *root.glob("plugins/*/*.py")]
    files += root.glob("plugins/*/kdsearch_*/**/*.py")
    assert len(files) > 100
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, file

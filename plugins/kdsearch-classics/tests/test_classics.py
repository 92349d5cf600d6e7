from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from kdsearch_classics import kdsearch_losses
from kdsearch_classics import options as asked
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

from kdsearch.errors import SpecError
from kdsearch.facts import facts_of_config
from kdsearch.local import run_locally
from kdsearch.plugin import Shapes
from kdsearch.plugin.host import Host
from kdsearch.run import run
from kdsearch.spec.document import parse_document
from kdsearch.spec.loading import load_spec
from kdsearch.testing import LossContract
from tests.distill.reference import SPLITS, Case, agree, expected_of, measured, said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.distill.reference import Said

OFFERED = {loss.name: loss for loss in kdsearch_losses()}
README = Path(__file__).parents[1] / "README.md"
TOY = Path(__file__).parents[3] / "tests" / "fixtures"


def t5(width: int, layers: int) -> Any:
    torch.manual_seed(width)
    config = T5Config(
        vocab_size=60,
        d_model=width,
        d_ff=16,
        d_kv=4,
        num_heads=2,
        num_layers=layers,
        dropout_rate=0.0,
    )
    config.decoder_start_token_id = 0
    return T5ForConditionalGeneration(config)


def llama(width: int, layers: int) -> Any:
    torch.manual_seed(width)
    config = LlamaConfig(
        vocab_size=60,
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=None,
        eos_token_id=1,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(params=[False, True], ids=["t5", "causal"])
def causal(request: Any) -> bool:
    return bool(request.param)


def case_of(causal: bool, student: tuple[int, int], teacher: tuple[int, int]) -> Case:
    build = llama if causal else t5
    return Case(causal, build(*student), build(*teacher))


def heads_of(vectors: Tensor, width: int) -> list[Tensor]:
    return list(vectors.split(width, dim=-1))


def turned(vectors: Tensor, theta: float) -> Tensor:
    """Rotate a head's vectors by their places, as Llama does."""
    half = vectors.shape[-1] // 2
    rates = theta ** (-torch.arange(half).double() / half)
    angles = torch.arange(len(vectors))[:, None] * rates
    first, second = vectors[:, :half], vectors[:, half:]
    cosine, sine = angles.cos(), angles.sin()
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def scores(model: Any, row: Said, stack: str, layer: int) -> list[Tensor]:
    """Return what each head attends by, before mask and softmax."""
    vectors = row.vectors(stack, layer)
    if model.config.is_encoder_decoder:
        bias = getattr(model, stack).block[0].layer[0].SelfAttention
        length = len(vectors["queries"])
        biases = bias.compute_bias(length, length)[0]
        pairs = zip(*(heads_of(vectors[kind], 4) for kind in ("queries", "keys")), strict=True)
        return [q @ k.T + own for (q, k), own in zip(pairs, biases, strict=True)]
    width = model.config.hidden_size // 4
    theta = model.config.rope_parameters["rope_theta"]
    queries = [turned(head, theta) for head in heads_of(vectors["queries"], width)]
    keys = [turned(head, theta) for head in heads_of(vectors["keys"], width)]
    return [q @ keys[place // 2].T / width**0.5 for place, q in enumerate(queries)]


def seen(token: int, length: int, stack: str) -> int:
    """Return how many tokens one attends to."""
    return token + 1 if stack == "decoder" else length


def check(
    case: Case, name: str, options: Mapping[str, Any], row_loss: Any, unit: str, folder: Path,
    split: tuple[int, int] = SPLITS[0],
) -> None:  # fmt: skip
    """Compare what a trial computes with a sum over rows in float64."""
    found = measured(case, name, options, folder, split)
    teacher = case.teacher.double()

    def objective(student: Any, heads: Mapping[str, Tensor]) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for row in case.texts:
            with torch.no_grad():
                told = said(teacher, *row)
                other = [scores(teacher, told, stack, 2) for stack in told.states]
            total = total + row_loss(student, said(student, *row), told, other, heads)
        return total / case.counts[unit]

    agree(found, expected_of(case, name, objective, found.heads))


class TestTinyBert(LossContract):
    loss = OFFERED["tinybert"]
    student_width = 8


class TestTinyBertOfOneWidth(LossContract):
    loss = OFFERED["tinybert"]
    options: ClassVar[Mapping[str, Any]] = {"stack": "decoder", "embeddings": 0.0}


class TestPatientKd(LossContract):
    loss = OFFERED["patient_kd"]


class TestMiniLm(LossContract):
    loss = OFFERED["minilm"]
    student_width = 8
    options: ClassVar[Mapping[str, Any]] = {"teacher_layer": 3}


@pytest.mark.parametrize("split", SPLITS[::2], ids=str)
@pytest.mark.parametrize("part", ["embeddings", "hidden", "attention"])
def test_tinybert_is_its_formula(causal: bool, part: str, split: Any, tmp_path: Path) -> None:
    case = case_of(causal, (8, 1), (16, 2))
    stack, layer = ("decoder", 2) if causal else ("encoder", 2)
    options = {name: float(name == part) for name in ("embeddings", "hidden", "attention")}

    def row_loss(student: Any, own: Said, told: Said, other: Any, heads: Any) -> Tensor:
        if part != "attention":
            place, key = {"embeddings": (0, 0), "hidden": (1, layer)}[part]
            mapped = own.states[stack][place] @ heads[f"{part}.weight"].T
            squares: Tensor = (mapped - told.states[stack][key]) ** 2
            return squares.mean(-1).sum()
        mine, total = scores(student, own, stack, 1), torch.zeros((), dtype=torch.float64)
        for one, two in zip(mine, other[0], strict=True):
            for token in range(len(one)):
                count = seen(token, len(one), stack)
                square = (one[token, :count] - two[token, :count]) ** 2
                total = total + square.mean() / len(mine)
        return total

    unit = ("read_tokens" if part == "attention" else "target_tokens") if causal else "read_tokens"
    check(case, "tinybert", options, row_loss, unit, tmp_path, split)


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    p, q = teacher.log_softmax(0), student.log_softmax(0)
    total: Tensor = (p.exp() * (p - q)).sum()
    return total


@pytest.mark.parametrize("split", SPLITS[::2], ids=str)
def test_minilm_is_its_formula(causal: bool, split: Any, tmp_path: Path) -> None:
    case = case_of(causal, (8, 1), (16, 2))
    stack = "decoder" if causal else "encoder"

    def related(model: Any, row: Said, layer: int) -> list[Tensor]:
        width = model.config.hidden_size // 4 if causal else 4
        values = heads_of(row.vectors(stack, layer)["values"], width)
        return [head @ head.T / width**0.5 for head in values]

    def row_loss(student: Any, own: Said, told: Said, other: Any, _: Any) -> Tensor:
        total = torch.zeros((), dtype=torch.float64)
        taught = related(case.teacher, told, 2)
        both: Sequence[Any] = [
            (scores(student, own, stack, 1), other[0]),
            (related(student, own, 1), taught),
        ]
        for mine, theirs in both:
            for one, two in zip(mine, theirs, strict=True):
                for token in range(len(one)):
                    count = seen(token, len(one), stack)
                    total = total + kl(two[token, :count], one[token, :count]) / len(mine)
        return total

    check(case, "minilm", {}, row_loss, "read_tokens", tmp_path, split)


@pytest.mark.parametrize(
    ("options", "unit"),
    [({}, "examples"), ({"tokens": "all", "layers": "last_k"}, "target_tokens")],
    ids=str,
)
def test_patient_kd_is_its_formula(
    causal: bool, options: Mapping[str, str], unit: str, tmp_path: Path
) -> None:
    case = case_of(causal, (8, 2), (8, 4))
    layer = 3 if options else 2

    def row_loss(_: Any, own: Said, told: Said, __: Any, ___: Any) -> Tensor:
        pairs = zip(own.states["decoder"][1], told.states["decoder"][layer], strict=True)
        squares = [((one / one.norm() - two / two.norm()) ** 2).sum() for one, two in pairs]
        return torch.stack(squares if options else squares[:1]).sum()

    check(case, "patient_kd", options, row_loss, unit, tmp_path, SPLITS[1])


LLAMA = {
    "model_type": "llama",
    "vocab_size": 9,
    "hidden_size": 24,
    "intermediate_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
FEWER = {**LLAMA, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 8}


@pytest.mark.parametrize(
    ("config", "student", "told"),
    [
        (asked.TinyBertConfig(), FEWER, "the student has 3 heads, 1 of them"),
        (asked.MiniLmConfig(), FEWER, "distributions of attention are compared head by head"),
        (asked.PatientKdConfig(), {**LLAMA, "hidden_size": 12}, "is 12 wide, the teacher 24"),
    ],
)
def test_students_that_do_not_fit_are_refused(config: Any, student: Any, told: str) -> None:
    teacher = facts_of_config(LLAMA, head_tied=True)
    config.check(Shapes(teacher, (teacher,)))
    with pytest.raises(SpecError, match=told):
        config.check(Shapes(facts_of_config(student, head_tied=True), (teacher,)))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (asked.TinyBertConfig(stack="encoder"), "has no encoder"),
        (asked.MiniLmConfig(teacher_layer=4), "layers 1 to 3"),
        (asked.PatientKdConfig(), "needs a teacher of no fewer layers"),
    ],
)
def test_what_the_teacher_does_not_have_is_refused(config: Any, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        config.request(facts_of_config(LLAMA, head_tied=True), 4)


def recipes() -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", README.read_text(encoding="utf8"), flags=re.DOTALL)


@pytest.mark.parametrize("recipe", recipes())
def test_every_recipe_is_valid(recipe: str) -> None:
    losses = parse_document(recipe, "README.md").data["losses"]
    spec = load_spec(TOY / "toy.yaml", Host([TOY / "toy_domain.py"]), [f"losses={losses}"])
    assert set(spec.stage.losses) == set(losses)


@pytest.mark.parametrize("cache", ["{mode: online}", "{states: float16}"])
def test_a_search_trains_by_them(cache: str, tmp_path: Path) -> None:
    host = Host([TOY / "toy_domain.py"])
    changes = (
        "losses={answer_ce: {}, soft_labels: {}, tinybert: {}, minilm: {}}",
        "ladder.sizes={small: {d_model: 16, d_ff: 32, layers: 1, heads: 2}}",
        "search={configurations_per_size: 1, audit: false}",
        "train={max_steps: 3, batch_size: 8}",
        f"cache={cache}",
    )
    spec = load_spec(TOY / "toy.yaml", host, changes)
    summary = run(spec, host, tmp_path / "run", run_locally, force=True)
    assert summary["trials"]["failed"] == 0
    told = (tmp_path / "run" / "journal.jsonl").read_text(encoding="utf8")
    assert "loss_tinybert" in told


def test_the_table_says_what_each_loss_needs() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .+\) \| (.+) \|$", README.read_text("utf8"), re.MULTILINE)
    losses = Host().losses
    for name, needs in rows:
        assert set(re.findall(r"`(\w+)`", needs)) == {
            each.value for each in losses[name].item.needs
        }
    assert len(rows) == 3


def test_it_is_found_without_torch() -> None:
    host = Host()
    assert not [problem for problem in host.slow if problem.source.plugin == "classics"]
    assert {"tinybert", "patient_kd", "minilm"} <= set(host.losses)

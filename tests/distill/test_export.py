"""Exported students answer by transformers alone as `kdsearch predict` does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import torch
from kdsearch_arithmetic.vocabulary import FOLDER as ARITHMETIC

from kdsearch.distill.data import encode
from kdsearch.distill.evaluate import predict
from kdsearch.distill.export import export_student, prepare_tokenizer
from kdsearch.distill.loading import load_student, load_tokenizer
from kdsearch.distill.students import byte_tokenizer, random_model
from kdsearch.plugin import Example, Prompt
from kdsearch.plugin.ladders import ScratchSize, scratch_model_config
from kdsearch.questions import Questions
from kdsearch.spec.loading import load_spec
from kdsearch.spec.models import Evaluation, PromptFormat
from kdsearch.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kdsearch.plugin import Prediction
    from kdsearch.plugin.host import Host
    from kdsearch.spec.models import SearchSpec

ITEMS = 64

TEMPLATE = (
    "{% for message in messages %}<{{ message['role'] }}>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)

ALONE = """
import sys, json
sys.modules["kdsearch"] = None
import torch
torch.set_num_threads(1)
from pathlib import Path
import os
found = {}
for case in json.load(sys.stdin):
    os.chdir(case["folder"])
    space = {}
    exec(case["code"], space)
    asked = [space["answer"](*words) for words in case["asked"]]
    found[case["name"]] = asked
    if not case["options"]:
        tokenizer, model = space["tokenizer"], space["model"]
        plain = []
        for [prompt] in case["asked"][:8]:
            if isinstance(prompt, str):
                inputs = tokenizer(prompt, return_tensors="pt")
                plain.append(model.generate(**inputs)[0].tolist())
        found[case["name"] + " plain"] = plain
print("ANSWERS" + json.dumps(found))
"""


class Case(NamedTuple):
    """A student to be exported and asked."""

    family: str
    tokenizer: str
    chat: bool
    options: str
    """`letters`, `texts`, `nested` or none: the answer is generated."""
    length_normalization: str = "none"

    @property
    def name(self) -> str:
        """Its folder."""
        return "-".join(map(str, self))


CASES = [
    Case("t5", "byte", False, ""),
    Case("t5", "arithmetic", False, ""),
    Case("t5", "byte", False, "letters"),
    Case("t5", "byte", False, "texts", "tokens"),
    Case("t5", "byte", True, ""),
    Case("llama", "byte", False, ""),
    Case("llama", "arithmetic", False, "nested", "bytes"),
    Case("llama", "byte", False, "letters"),
    Case("llama", "byte", False, "nested", "bytes"),
    Case("llama", "byte", True, ""),
    Case("llama", "byte", True, "texts", "tokens"),
]

OPTIONS: Mapping[str, Any] = {
    "letters": lambda n: ("A", "B", "C"),
    "texts": lambda n: (f"{n}", f"{n + 1}5", f"{n * 7}"),
    "nested": lambda n: (f"{n}", f"{n} {n % 3}", f"{n + 3}"),
}


class Questioned:
    """Sums, generated or with options, plain or as a chat."""

    name, version, stop, max_new_tokens, scoring = "sums", "1", ("7",), 6, "auto"

    def __init__(self, case: Case) -> None:
        self.case = case

    def load(self) -> list[Example]:
        """Return sums whose options differ."""
        numbers = range(3, 3 + ITEMS)
        made = OPTIONS.get(self.case.options)
        return [
            Example(
                str(number),
                f"{number} + {number % 7} =",
                0 if made else str(number),
                choices=made(number) if made else (),
            )
            for number in numbers
        ]

    def format(self, example: Example, options: Any) -> Prompt:
        """Ask the sum as it stands."""
        target = example.choices[0] if example.choices else str(example.answer)
        if not self.case.chat:
            return Prompt(target, example.question, choices=example.choices)
        system = {"role": "system", "content": "Say the sum."}
        user = {"role": "user", "content": example.question}
        return Prompt(target, messages=(system, user), choices=example.choices)


SIZE = {
    "size": "tiny",
    "parameters": 1,
    "best_trial": "tiny-1",
    "verdict": "match",
    "exploratory": False,
    "confirm": {
        "score": 0.5,
        "n": 9,
        "in_units": False,
        "seeds": 1,
        "difference": 0.0,
        "lower_bound": -0.01,
        "upper_bound": 0.01,
    },
}
SUMMARY = {
    "name": "sums",
    "outcome": "match",
    "match": {"metric": "accuracy", "margin": 0.1, "confidence": 0.95},
    "teacher": {"name": "t", "parameters": 2, "confirm": {"score": 0.5, "n": 9}},
}


class Exported(NamedTuple):
    """An export with what kdsearch answers by it."""

    folder: Path
    case: Case
    card: str
    asked: list[list[Any]]
    told: list[Prediction]
    sources: list[list[int]]

    @property
    def code(self) -> str:
        """The snippet of the card."""
        [found] = re.findall(r"^```python\n(.*?)\n```$", self.card, re.MULTILINE | re.DOTALL)
        return str(found)


def _tokenizer(case: Case) -> Any:
    made: Any = byte_tokenizer() if case.tokenizer == "byte" else load_tokenizer(ARITHMETIC)
    if case.chat:
        made.chat_template = TEMPLATE
    return made


def _export(case: Case, parent: Path, spec: SearchSpec) -> Exported:
    tokenizer, domain = _tokenizer(case), Questioned(case)
    measures = ScratchSize(d_model=16, d_ff=32, layers=2, heads=2)
    config = scratch_model_config(case.family, measures, len(tokenizer))
    model = random_model(config, tokenizer, 1)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():  # far from even, so that answers differ
        for weights in model.parameters():
            weights.add_(0.3 * torch.randn(weights.shape, generator=random))
    model.generation_config.update(do_sample=True, temperature=2.0, max_new_tokens=3)
    trained, folder = parent / "trial" / case.name, parent / case.name
    model.save_pretrained(trained)
    tokenizer.save_pretrained(trained)
    spec = spec.model_copy(
        update={
            "prompt": PromptFormat(max_tokens=99),
            "evaluation": Evaluation(length_normalization=case.length_normalization),
        }
    )
    examples, anything = domain.load(), domain  # a domain as far as it is needed
    asked = Questions(anything, None, "train", examples, ())  # type: ignore[arg-type]
    export_student(Folder(parent), trained, folder, SIZE, SUMMARY, spec, parent, asked)
    student = load_student(folder)
    rows = encode(
        examples,
        domain,  # type: ignore[arg-type]
        None,
        student.tokenizer,
        spec.prompt,
        causal=case.family == "llama",
        evaluation=spec.evaluation,
    )
    told = predict(student.model, student.tokenizer, rows, domain)  # type: ignore[arg-type]
    prompts = [domain.format(example, None) for example in examples]
    words = [
        [each.messages or each.text, *([list(each.choices)] if each.choices else [])]
        for each in prompts
    ]
    card = (folder / "README.md").read_text("utf8")
    return Exported(folder, case, card, words, told, [list(ids) for ids in rows.sources])


@pytest.fixture(scope="module")
def spec(toy_spec: Path, toy_host: Host) -> SearchSpec:
    return load_spec(toy_spec, toy_host)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory, spec: SearchSpec) -> dict[str, Exported]:
    """Return an export of every case."""
    torch.set_num_threads(1)
    parent = tmp_path_factory.mktemp("exports")
    return {case.name: _export(case, parent, spec) for case in CASES}


@pytest.fixture(scope="module")
def alone(exports: dict[str, Exported]) -> dict[str, Any]:
    """Return the answers of the cards' code in a process that cannot import kdsearch."""
    cases = [
        {
            "name": name,
            "folder": str(each.folder),
            "code": each.code,
            "asked": each.asked,
            "options": each.case.options,
        }
        for name, each in exports.items()
    ]
    ended = subprocess.run(
        [sys.executable, "-c", ALONE], input=json.dumps(cases), capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout.rpartition("ANSWERS")[2])
    return found


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_cards_code_answers_as_kdsearch(
    exports: dict[str, Exported], alone: dict[str, Any], name: str
) -> None:
    told = [prediction.text for prediction in exports[name].told]
    assert len(set(told)) > 1, "answers that are all alike show nothing"
    assert alone[name] == told


@pytest.mark.parametrize("name", [case.name for case in CASES if not case.options])
def test_generation_needs_no_arguments(
    exports: dict[str, Exported], alone: dict[str, Any], name: str
) -> None:
    """A plain prompt's tokens alone, given to `generate`, bring kdsearch's answer."""
    exported = exports[name]
    tokenizer = load_tokenizer(exported.folder)
    for made, told, source in zip(
        alone[f"{name} plain"], exported.told, exported.sources, strict=False
    ):
        start = len(source) if exported.case.family == "llama" else 1
        assert len(made) - start <= Questioned.max_new_tokens
        text = str(tokenizer.decode(made[start:], skip_special_tokens=True))
        assert text.split("7")[0].strip() == told.text


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_card_shows_a_prompt_as_it_is_read(exports: dict[str, Exported], name: str) -> None:
    exported = exports[name]
    [shown] = re.findall(r"^```text\n(.*?)\n```$", exported.card, re.MULTILINE | re.DOTALL)
    tokenizer = load_tokenizer(exported.folder)
    ids = tokenizer(shown, add_special_tokens=not exported.case.chat)["input_ids"]
    assert ids == exported.sources[0]


@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[4], CASES[5]], ids=lambda c: c.name)
def test_prompts_have_the_ids_that_they_had(exports: dict[str, Exported], case: Case) -> None:
    """Signals are stored by them."""
    domain: Any = Questioned(case)
    how, causal = PromptFormat(), case.family == "llama"
    rows = encode(domain.load(), domain, None, _tokenizer(case), how, causal=causal)
    assert rows.sources == exports[case.name].sources


def test_files_are_as_readable_as_any_new_one(exports: dict[str, Exported], tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.mkdir()
    (usual / "file").touch()
    for exported in exports.values():
        assert exported.folder.stat().st_mode == usual.stat().st_mode
        for file in exported.folder.iterdir():
            assert file.stat().st_mode == (usual / "file").stat().st_mode, file


def test_a_tokenizer_that_ends_prompts_is_left_alone() -> None:
    tokenizer: Any = byte_tokenizer()
    prepare_tokenizer(tokenizer, causal=False)
    before = tokenizer.backend_tokenizer.to_str()
    prepare_tokenizer(tokenizer, causal=False)
    assert tokenizer.backend_tokenizer.to_str() == before
    assert tokenizer("1")["input_ids"][-1] == tokenizer.eos_token_id


def test_causal_batches_are_padded_on_the_left(exports: dict[str, Exported]) -> None:
    for exported in exports.values():
        side = "left" if exported.case.family == "llama" else "right"
        assert load_tokenizer(exported.folder).padding_side == side


def test_a_mixed_domain_shows_both_ways(spec: SearchSpec) -> None:
    from kdsearch.distill.usage import usages_of

    domain: Any = Questioned(Case("t5", "byte", False, "letters"))
    first, *others = domain.load()
    mixed = [first, *(replace(each, choices=(), answer="1") for each in others)]
    asked = Questions(domain, None, "train", mixed, ())
    found = usages_of(asked, byte_tokenizer(), PromptFormat(), Evaluation(), causal=False)
    assert [bool(usage.options) for usage in found] == [True, False]

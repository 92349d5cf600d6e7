from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from benchmarks.zero_shot import SETTINGS, WORDS, main
from kdsearch.distill.students import byte_tokenizer
from kdsearch.testing.models import tiny_model

if TYPE_CHECKING:
    from pathlib import Path

SENTENCE = "The cup fits the bag since the _ is small, {}."
SUBJECTS = (
    "high_school_european_history",
    "high_school_us_history",
    "high_school_world_history",
    "prehistory",
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Write twenty questions of each domain."""
    files: dict[str, list[dict[str, object]]] = {
        "winogrande/train_s.jsonl": [
            {
                "qID": f"q{at}-1",
                "sentence": SENTENCE.format(at),
                "option1": "cup",
                "option2": "bag",
                "answer": "1",
            }
            for at in range(20)
        ],
        "aqua_rat/dev.jsonl": [
            {
                "question": f"{at} + 1?",
                "options": [f"A){at}", f"B){at + 1}"],
                "rationale": "Add.",
                "correct": "B",
            }
            for at in range(20)
        ],
        "arc_rationales/train.jsonl": [
            {"id": f"a{at}", "question": f"{at}?", "choices": ["yes", "no"], "answer": "no"}
            for at in range(20)
        ],
    }
    for place, rows in files.items():
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "mmlu" / "val").mkdir(parents=True)
    for subject in SUBJECTS:
        lines = "\n".join(f"{subject} {at}?,w,x,y,z,B" for at in range(20))
        (tmp_path / "mmlu" / "val" / f"{subject}_val.csv").write_text(lines)
    (tmp_path / "financial_news").mkdir()
    news = "\n".join(f"Share {at} rises,{at % 3}" for at in range(20))
    (tmp_path / "financial_news" / "train.csv").write_text(f"text,label\n{news}")
    model = tmp_path / "model"
    tiny_model("llama", 8, 1, 0).save_pretrained(model)
    byte_tokenizer().save_pretrained(model)
    return tmp_path


@pytest.mark.parametrize(("words", "domains"), [([], SETTINGS), (["--words"], WORDS)])
def test_every_domain_is_answered(
    data: Path, words: list[str], domains: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(data / "model"), "--data", str(data), "--items", "5", "--json", *words])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["domain"] for each in found["domains"]} == set(domains)
    assert all(each["scoring"] == "options" for each in found["results"])

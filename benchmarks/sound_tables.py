"""Small sound data of each first-party domain, to be mutated by `benchmarks.mutations`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROWS = 40
"""A table; 12 are for confirm and 6 for dev."""


@dataclass(frozen=True)
class Sound:
    """The files of one domain, of which `file` is mutated."""

    domain: str
    file: str
    text: str
    metric: str = "accuracy"
    options: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, str] = field(default_factory=dict)
    """Other files by name, as they are."""
    teacher: str = (
        "{scratch: {family: t5, d_model: 16, d_ff: 32, layers: 1, heads: 2}, "
        "fine_tune: {max_steps: 2}}"
    )
    path: str | None = None
    """The data, if they are not `file`."""

    def write(self, folder: Path, content: bytes) -> Path:
        """Write the files and a spec into a folder, and return the spec."""
        for name, text in {self.file: self.text, **self.beside}.items():
            (folder / name).write_text(text, encoding="utf8")
        (folder / self.file).write_bytes(content)
        options = {**self.options, "path": str(folder / (self.path or self.file))}
        domain = {"name": self.domain, "options": options}
        spec = folder / "spec.yaml"
        spec.write_text(
            f"name: mutated\ndomain: {json.dumps(domain)}\n"
            "splits: {dev: 6, confirm: 12, near_duplicates: keep}\n"
            f"teachers: [{self.teacher.replace('FOLDER', str(folder))}]\n"
            "ladder: {kind: scratch, family: t5, sizes: {s: {d_model: 8, d_ff: 8, layers: 1, "
            "heads: 1}}}\n"
            "losses: {answer_ce: {}}\ntrain: {max_steps: 2}\n"
            f"match: {{metric: {self.metric}, margin: 0.1}}\n"
            "prompt: {max_tokens: 4096, truncate: question}\n",
            encoding="utf8",
        )
        return spec


WORDS = [
    f"{first} {second}"
    for first in ("red", "old", "long", "Greek", "hollow")
    for second in ("ferry", "bridge", "mill", "é island", "oar", "cart", "verse", "flag")
]


def _lines(rows: Sequence[Any]) -> str:
    return "\n".join(json.dumps(row) for row in rows) + "\n"


def _csv(rows: Sequence[Mapping[str, Any]], delimiter: str = ",", *, header: bool = True) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _rows(**columns: Any) -> list[dict[str, Any]]:
    """Return rows; a function makes a column's value of the row's number and word."""
    made = enumerate(WORDS[:ROWS])
    return [
        {name: value(n, word) if callable(value) else value for name, value in columns.items()}
        for n, word in made
    ]


TEXTS = _rows(q=lambda n, word: f"Who built the {word}?", a=lambda n, word: f"Ada {n}")
CHOICES = _rows(
    q=lambda n, word: f"Which is the {word}?",
    a=lambda n, word: ("Ada", "Ben", "Cleo")[n % 3],
    o=["Ada", "Ben", "Cleo"],
    id=lambda n, word: f"q{n}",
)
TEXT = {"answer": "text", "columns": {"question": "q", "answer": "a"}}
CHOICE = {"answer": "choice", "columns": {"question": "q", "answer": "a", "choices": "o"}}
LABEL = {**TEXT, "answer": "label", "labels": ["mail", "web"]}
LABELS = _rows(q=lambda n, word: f"About the {word}.", a=lambda n, word: ("mail", "web")[n % 2])
NUMBERS = _rows(q=lambda n, word: f"How many {word}s?", a=lambda n, word: 7 * n)
WINOGRANDE = _rows(
    qID=lambda n, word: f"A{n}-1",
    sentence=lambda n, word: f"The kettle does not fit the {word}, for the _ is wide.",
    option1="kettle",
    option2=lambda n, word: word,
    answer=lambda n, word: str(1 + n % 2),
)
SOCIAL = _rows(
    context=lambda n, word: f"Ada forgot the {word}.",
    question="What will Ada want to do next?",
    answerA="go back",
    answerB="swim",
    answerC="sing",
)
COMMONSENSE = _rows(
    answerKey="C",
    id=lambda n, word: f"c{n}",
    question=lambda n, word: {
        "question_concept": word,
        "stem": f"Where would a {word} be kept?",
        "choices": [{"label": label, "text": f"{label} place {n}"} for label in "ABCDE"],
    },
)
AQUA = _rows(
    question=lambda n, word: f"A {word} holds {n} crates of 4 pears. How many pears?",
    options=["A)7", "B)12", "C)34", "D)43", "E)1"],
    rationale="3 x 4 = 12",
    correct="B",
)
AQUA_TSV = "".join(
    f"A {word} loses.\\nHow long?\\nOptions:\\n(A) 4\\n(B) 5\\n(C) 6\\n(D) 7\\n(E) {n}8\t(C)\tso\n"
    for n, word in enumerate(WORDS)
)
GSM = _rows(
    question=lambda n, word: f"Ada picks {n} pears by the {word}. How many?",
    answer=lambda n, word: f"So it is <<{n}={n}>>{n}.\n#### {n}",
)
MMLU = _rows(
    q=lambda n, word: f"Which {word} is red?", a="Ada's", b="Ben's", c="Cleo's, too", d="0", k="C"
)
MMLU_TO_SEARCH = """
from kdsearch.plugin import API, Use, hookimpl
from kdsearch_mmlu import Mmlu

KDSEARCH_API = API

class MmluToSearch(Mmlu):
    name = "mmlu_to_search"
    use = Use.SEARCH

@hookimpl
def kdsearch_domains(): return [MmluToSearch()]
"""
NEWS = _rows(
    text=lambda n, word: f"$AAA - Invented {word} cut to sell", label=lambda n, word: n % 3
)
FINQA = _rows(
    id=lambda n, word: f"MILL/2020/page_{n}.pdf-1",
    pre_text=["The mill mills ."],
    post_text=["It mills on ."],
    table=[["", "2020", "2019"], ["sales", "10", "8"]],
    qa=lambda n, word: {
        "question": f"By what share did sales of the {word} grow?",
        "answer": f"{n}%",
        "exe_ans": n / 100,
        "program": "subtract(10, 8), divide(#0, 8)",
        "gold_inds": {"table_1": "the sales of 2020 is 10 ;"},
    },
)
TRIVIA = "\n".join(
    f"#Q Which {word} sank?\n^ The Ada {n}\nA The Ben\nB The Ada {n}\nC The Cleo\nD The Dan\n"
    for n, word in enumerate(WORDS)
)
QA = _rows(question=lambda n, word: f"Who steered the {word}?", answer=["Ada Example", "Ada"])
ANSWERS = _rows(id=lambda n, word: f"q{n}", choice=0, scores=[-0.1, -2.0, -3.0])

SOUND = (
    Sound("table", "t.csv", _csv(TEXTS), "exact_match", TEXT),
    Sound("table", "t.jsonl", _lines(TEXTS), "exact_match", TEXT),
    Sound("table", "t.json", json.dumps(CHOICES), options=CHOICE),
    Sound("table", "c.csv", _csv(CHOICES), options=CHOICE),
    Sound("table", "c.jsonl", _lines(CHOICES), options=CHOICE),
    Sound("table", "l.tsv", _csv(LABELS, "\t"), options=LABEL),
    Sound("table", "n.csv", _csv(NUMBERS), options={**TEXT, "answer": "number"}),
    Sound("winogrande", "train_xl.jsonl", _lines(WINOGRANDE)),
    Sound(
        "social_iqa",
        "train.jsonl",
        _lines(SOCIAL),
        beside={"train-labels.lst": "1\n" * ROWS},
    ),
    Sound("commonsense_qa", "train_rand_split.jsonl", _lines(COMMONSENSE)),
    Sound("aqua_rat", "train.json", _lines(AQUA)),
    Sound("aqua_rat", "train.tsv", AQUA_TSV),
    Sound("gsm8k", "train.jsonl", _lines(GSM)),
    Sound(
        "mmlu_to_search",
        "prehistory_val.csv",
        _csv(MMLU, header=False),
        beside={"mmlu_to_search.py": MMLU_TO_SEARCH},
    ),
    Sound("financial_news", "train.csv", _csv(NEWS)),
    Sound("finqa", "train.json", json.dumps(FINQA)),
    Sound("history_trivia", "history.txt", TRIVIA),
    Sound("trivia_qa", "pool.jsonl", _lines(QA), "exact_match"),
    Sound(
        "table",
        "answers.jsonl",
        _lines(ANSWERS),
        options={**CHOICE, "columns": {**CHOICE["columns"], "id": "id"}},  # type: ignore[dict-item]
        beside={"c.jsonl": _lines(CHOICES)},
        teacher="{predictions: FOLDER/answers.jsonl}",
        path="c.jsonl",
    ),
)
"""A table of each kind that the first-party domains read."""

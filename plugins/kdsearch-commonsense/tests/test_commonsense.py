from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kdsearch_commonsense import (
    CommonsenseQa,
    SocialIqa,
    Winogrande,
    WinograndeOptions,
)

from kdsearch.errors import DataError
from kdsearch.plugin import ChoiceOptions, Prediction
from kdsearch.plugin.host import Host
from kdsearch.testing import DomainContract, fake_hub

if TYPE_CHECKING:
    from pathlib import Path

    from kdsearch.plugin import Domain, Example

KETTLE = {
    "qID": "AAA-1",
    "sentence": "The kettle does not fit the shelf because the _ is wide.",
    "option1": "kettle",
    "option2": "shelf",
    "answer": "1",
}
SHELF = KETTLE | {
    "qID": "AAA-2",
    "sentence": "The kettle does not fit the shelf because the _ is narrow.",
    "answer": "2",
}
NAMES = {
    "qID": "BBB-1",
    "sentence": "Ada paid Ben, for _'s boat was sold.",
    "option1": "Ada",
    "option2": "Ben",
    "answer": "2",
}
PICNIC = {
    "context": "Ada forgot the basket.",
    "question": "What will Ada want to do next?",
    "answerA": "go back",
    "answerB": "swim",
    "answerC": "sing",
}
FEELING = PICNIC | {"question": "How would Ada feel afterwards?"}
KEEPING = {
    "answerKey": "C",
    "id": "1afa",
    "question": {
        "question_concept": "oar",
        "stem": "Where would an oar be kept?",
        "choices": [
            {"label": label, "text": text}
            for label, text in zip(
                "ABCDE", ["tree", "cloud", "boat house", "oven", "purse"], strict=True
            )
        ],
    },
}
DOMAINS = [
    (Winogrande(), KETTLE),
    (SocialIqa(), PICNIC | {"label": "1"}),
    (CommonsenseQa(), KEEPING),
]


def write(file: Path, *rows: Any) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf8")
    return file


def winogrande(path: Path, **options: Any) -> list[Example]:
    return list(Winogrande().load(WinograndeOptions(path=path, **options)))


def social_iqa(path: Path, rows: list[Any], labels: list[str], **options: Any) -> list[Example]:
    file = write(path / "train.jsonl", *rows)
    write(path / "train-labels.lst", *labels)
    return list(SocialIqa().load(ChoiceOptions(path=file, **options)))


def commonsense_qa(path: Path, *rows: Any, **options: Any) -> list[Example]:
    file = write(path / "train_rand_split.jsonl", *rows)
    return list(CommonsenseQa().load(ChoiceOptions(path=file, **options)))


def test_winogrande_pairs_are_one_unit(tmp_path: Path) -> None:
    examples = winogrande(write(tmp_path / "train_s.jsonl", KETTLE, SHELF, NAMES))
    assert [example.unit for example in examples] == ["AAA", "AAA", "BBB"]
    assert [example.answer for example in examples] == [0, 1, 1]
    assert [example.group for example in examples] == ["things", "things", "people"]
    assert {example.split for example in examples} == {"train"}


@pytest.mark.parametrize(
    ("size", "questions"), [(None, [SHELF, NAMES]), ("l", [SHELF, NAMES]), ("s", [SHELF, KETTLE])]
)
def test_a_folder_gives_dev_and_one_training_set(
    tmp_path: Path, size: str | None, questions: list[dict[str, str]]
) -> None:
    shelf = SHELF | {"qID": "CCC-1"}
    write(tmp_path / "dev.jsonl", shelf)
    write(tmp_path / "train_s.jsonl", KETTLE)
    write(tmp_path / "train_l.jsonl", NAMES, shelf)
    examples = winogrande(tmp_path, size=size)
    assert [example.question for example in examples] == [row["sentence"] for row in questions]
    assert [example.split for example in examples] == ["dev", "train"]


def test_the_twin_of_a_held_out_sentence_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "dev.jsonl", KETTLE)
    write(tmp_path / "train_s.jsonl", SHELF, NAMES)
    assert [example.unit for example in winogrande(tmp_path)] == ["AAA", "BBB"]


@pytest.mark.parametrize(
    ("answer_format", "text", "choices"),
    [
        ("letter", f"{NAMES['sentence']}\nA. Ada\nB. Ben\nAnswer:", ("A", "B")),
        ("integer", f"{NAMES['sentence']}\n1. Ada\n2. Ben\nAnswer:", ("1", "2")),
        (
            "substituted",
            "Sentence: Ada paid Ben, for",
            ("Ada's boat was sold.", "Ben's boat was sold."),
        ),
    ],
)
def test_winogrande_asks_by_name_or_goes_on(
    tmp_path: Path, answer_format: Any, text: str, choices: tuple[str, ...]
) -> None:
    (example,) = winogrande(write(tmp_path / "dev.jsonl", NAMES))
    prompt = Winogrande().format(example, WinograndeOptions(answer_format=answer_format))
    assert (prompt.text, prompt.choices, prompt.target) == (text, choices, choices[1])


def test_social_iqa_reads_the_label_file(tmp_path: Path) -> None:
    first, second = social_iqa(tmp_path, [PICNIC, FEELING], ["1", "3"])
    assert first.question == "Ada forgot the basket. What will Ada want to do next?"
    assert (first.answer, first.choices) == (0, ("go back", "swim", "sing"))
    assert (first.group, second.group, second.answer) == ("wants", "reactions", 2)
    assert first.unit == second.unit is not None


@pytest.mark.parametrize(
    ("question", "group"),
    [
        ("Why did Ada do this?", "motivations"),
        ("What does Ada need to do before this?", "needs"),
        ("How would you describe Ada?", "descriptions"),
        ("What will happen to Ben?", "effects"),
        ("Which boat?", "other"),
    ],
)
def test_social_iqa_groups_by_the_kind_of_question(
    tmp_path: Path, question: str, group: str
) -> None:
    (example,) = social_iqa(tmp_path, [PICNIC | {"question": question}], ["1"])
    assert example.group == group


@pytest.mark.parametrize(
    ("labels", "message"), [(["1"], "1 labels for the 2 rows"), ([], "0 labels")]
)
def test_labels_must_be_as_many_as_rows(tmp_path: Path, labels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        social_iqa(tmp_path, [PICNIC, FEELING], labels, on_bad_row="skip")
    assert caught.value.where == str(tmp_path / "train-labels.lst")


def test_commonsense_qa_reads_the_official_form(tmp_path: Path) -> None:
    (example,) = commonsense_qa(tmp_path, KEEPING)
    assert example.question == "Where would an oar be kept?"
    assert example.choices == ("tree", "cloud", "boat house", "oven", "purse")
    assert (example.answer, example.group, example.split) == (2, "where", "train")


def test_commonsense_qa_reads_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = KEEPING["question"]  # type: ignore[assignment]  # a mapping
    lists = {key: [choice[key] for choice in asked["choices"]] for key in ("label", "text")}
    row = {"question": asked["stem"], "choices": lists, "answerKey": "C"}
    fake_hub(monkeypatch, {"validation": [row]})
    (example,) = CommonsenseQa().load(ChoiceOptions())
    assert replace(example, split="train") == commonsense_qa(tmp_path, KEEPING)[0]
    assert example.split == "dev"


def test_winogrande_and_social_iqa_read_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch, {"train": [KETTLE | PICNIC | {"label": "2"}]})
    assert [example.answer for example in Winogrande().load(WinograndeOptions(size="m"))] == [0]
    assert [example.answer for example in SocialIqa().load(ChoiceOptions())] == [1]
    assert asked == [
        (("allenai/winogrande", "winogrande_m"), {}),
        (("allenai/social_i_qa",), {"revision": "refs/convert/parquet"}),
    ]


@pytest.mark.parametrize("place", range(3))
def test_two_choices_keep_the_answer(tmp_path: Path, place: int) -> None:
    whole = social_iqa(tmp_path, [PICNIC], [str(place + 1)])[0]
    reduced = social_iqa(tmp_path, [PICNIC], [str(place + 1)], max_choices=2)[0]
    assert len(reduced.choices) == 2
    assert reduced.choices[int(reduced.answer)] == whole.choices[place]
    assert reduced.id == whole.id
    prompt = SocialIqa().format(reduced, ChoiceOptions(answer_format="integer"))
    assert prompt.choices == ("1", "2")


def test_two_choices_of_commonsense_qa(tmp_path: Path) -> None:
    (example,) = commonsense_qa(tmp_path, KEEPING, max_choices=2)
    assert len(example.choices) == 2
    assert example.choices[int(example.answer)] == "boat house"


@pytest.mark.parametrize(("domain", "row"), DOMAINS, ids=lambda each: getattr(each, "name", ""))
def test_repeats_are_dropped(tmp_path: Path, domain: Domain, row: dict[str, Any]) -> None:
    file = write(tmp_path / "train.jsonl", row, "", json.dumps(row).replace("Where", "WHERE  "))
    write(tmp_path / "train-labels.lst", "1", "1")
    assert len(list(domain.load(domain.Options(path=file)))) == 1


BAD: list[tuple[Domain, dict[str, Any], dict[str, Any], str]] = [
    (Winogrande(), KETTLE, {"answer": ""}, "the answer is empty"),
    (Winogrande(), KETTLE, {"answer": "3"}, "unknown answer '3': allowed: 1, 2"),
    (Winogrande(), KETTLE, {"sentence": "No blank."}, "has 0 blanks"),
    (Winogrande(), KETTLE, {"option2": "Kettle"}, "both options are 'kettle'"),
    (Winogrande(), KETTLE, {"option1": None}, "the row has no 'option1'"),
    (SocialIqa(), PICNIC, {"answerC": " "}, "the answerC is empty"),
    (SocialIqa(), PICNIC, {"context": None}, "the row has no 'context'"),
    (CommonsenseQa(), KEEPING, {"answerKey": "F"}, "unknown answer 'F': allowed: A, B, C, D, E"),
    (CommonsenseQa(), KEEPING, {"question": {"stem": "Where?"}}, "the row has no 'choices'"),
    (CommonsenseQa(), KEEPING, {"question": {"stem": "Where?", "choices": 3}}, "no list of label"),
    (
        CommonsenseQa(),
        KEEPING,
        {"question": {"stem": "Where?", "choices": [{"label": "B", "text": "here"}] * 2}},
        "the choices 'BB' do not count on from A",
    ),
]


@pytest.mark.parametrize(("domain", "row", "change", "message"), BAD, ids=[each[3] for each in BAD])
def test_a_bad_row_names_its_line_or_is_skipped(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    domain: Domain,
    row: dict[str, Any],
    change: dict[str, Any],
    message: str,
) -> None:
    file = write(tmp_path / "train.jsonl", row, row | change)
    write(tmp_path / "train-labels.lst", "1", "1")
    with pytest.raises(DataError, match=message) as caught:
        list(domain.load(domain.Options(path=file)))
    assert caught.value.where == f"{file}:2"
    with caplog.at_level(logging.WARNING):
        assert len(list(domain.load(domain.Options(path=file, on_bad_row="skip")))) == 1
    assert f"bad rows skipped: 1 of 2, the first at {file}:2" in caplog.text


def test_a_bad_label_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown label '4': allowed: 1, 2, 3") as caught:
        social_iqa(tmp_path, [PICNIC, FEELING], ["1", "4"])
    assert caught.value.where == f"{tmp_path / 'train-labels.lst'}:2"


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        (Winogrande(), "train_xl.jsonl"),
        (SocialIqa(), "train.jsonl"),
        (CommonsenseQa(), "train_rand_split.jsonl"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, domain: Domain, name: str) -> None:
    with pytest.raises(DataError, match="No such file") as caught:
        list(domain.load(domain.Options(path=tmp_path)))
    assert caught.value.where == str(tmp_path / name)


@pytest.mark.parametrize("domain", [domain for domain, _ in DOMAINS], ids=lambda each: each.name)
def test_a_hub_out_of_reach_is_told_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch, domain: Domain
) -> None:
    fake_hub(monkeypatch, ConnectionError("no network"))
    with pytest.raises(DataError, match="no network") as caught:
        list(domain.load(domain.Options()))
    assert "domain.options.path" in str(caught.value.fix)


@pytest.mark.parametrize(("domain", "row"), DOMAINS, ids=lambda each: getattr(each, "name", ""))
def test_accuracy_counts_right_choices(tmp_path: Path, domain: Domain, row: dict[str, Any]) -> None:
    file = write(tmp_path / "train.jsonl", row)
    write(tmp_path / "train-labels.lst", "1")
    (example,) = domain.load(domain.Options(path=file))
    given = [Prediction("", "", choice=choice) for choice in (int(example.answer), 1, None)]
    assert domain.score(given, [example] * 3).per_item == {"accuracy": [1.0, 0.0, 0.0]}


@pytest.mark.parametrize("name", ["winogrande", "social_iqa", "commonsense_qa"])
def test_enters_by_entry_point(name: str) -> None:
    offer = Host().domains[name]
    assert (offer.source.distribution, offer.source.plugin) == (
        "kdsearch-commonsense",
        "commonsense",
    )


class TestWinogrande(DomainContract):
    domain = Winogrande()

    def options(self, folder: Path) -> WinograndeOptions:
        other = KETTLE | {"qID": "CCC-1", "sentence": "The shelf broke under the _ today."}
        return WinograndeOptions(path=write(folder / "dev.jsonl", KETTLE, SHELF, NAMES, other))


class TestSocialIqa(DomainContract):
    domain = SocialIqa()

    def options(self, folder: Path) -> ChoiceOptions:
        rows = [PICNIC | {"context": f"Ada forgot basket {number}."} for number in range(3)]
        write(folder / "dev-labels.lst", "1", "2", "3")
        return ChoiceOptions(path=write(folder / "dev.jsonl", *rows))


class TestCommonsenseQa(DomainContract):
    domain = CommonsenseQa()

    def options(self, folder: Path) -> ChoiceOptions:
        asked: dict[str, Any] = KEEPING["question"]  # type: ignore[assignment]  # a mapping
        rows = [KEEPING | {"question": asked | {"stem": f"Where is {n}?"}} for n in range(3)]
        return ChoiceOptions(path=write(folder / "train.jsonl", *rows), answer_format="integer")

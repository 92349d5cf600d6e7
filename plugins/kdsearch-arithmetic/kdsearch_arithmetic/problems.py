"""The word problems: operations, their operands, and the wordings that tell them.

Every (operation, operands, wording) triple is told once. Eight wordings and 828 operand pairs make
6,624 triples.
"""

from __future__ import annotations

from itertools import product
from random import Random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gia", "Hugo")
ITEMS = ("apples", "beads", "buttons", "cards", "coins", "marbles", "shells", "stamps")
"""Each names one thing without its last letter."""

LARGEST = 81
"""The largest number in any problem or answer."""

WORDINGS = {
    "addition": (
        "{name} has {a_items} and finds {b} more. How many now?",
        "{name} brings {a_items}, {other} brings {b}. How many together?",
        "A basket holds {a_items}, a bowl {b}. How many in all?",
        "{name} buys {a_items} today and {b} tomorrow. What is the total?",
        "{name} adds {b} to {a_items}. How many now?",
        "On top of {a_items} {name} packs {b}. What is the sum?",
        "First {name} wins {a_items}, then {b} more. How many altogether?",
        "Put {a_items} and {b} more into a jar. How many inside?",
    ),
    "subtraction": (
        "{name} has {a_items} and loses {b}. How many are left?",
        "{name} gives away {b} of {a_items}. How many remain?",
        "From {a_items} {name} takes {b} away. How many stay?",
        "{name} owns {a_items}, {other} owns {b}. How many fewer?",
        "A shop had {a_items} and sold {b}. How many are still there?",
        "{name} wants {a_items} but has {b}. How many are missing?",
        "Of {a_items}, {b} broke. How many are whole?",
        "{name} borrows {b} of {a_items}. What is left?",
    ),
    "multiplication": (
        "{name} fills {a} bags with {b_items} each. How many in all?",
        "Each of {a} boxes holds {b_items}. How many are there?",
        "{name} makes {b_items} a day for {a} days. How many?",
        "{a} friends bring {b_items} each. How many is that?",
        "{name} lays {a} rows of {b_items}. How many altogether?",
        "One shelf carries {b_items}. How many do {a} shelves carry?",
        "{name} has {b_items}, {other} {a} times as many. How many?",
        "{name} opens {a} packs of {b_items}. How many come out?",
    ),
    "division": (
        "{name} shares {a_items} among {b} friends. How many for each?",
        "{b} bags hold {a_items}, all the same. How many in one?",
        "{name} packs {a_items} into boxes of {b}. How many boxes?",
        "{name} splits {a_items} into {b} piles. How big is one?",
        "Every guest gets {b} of {a_items}. How many guests come?",
        "{b} teams divide {a_items} evenly. How many for one team?",
        "{name} lines up {a_items} in rows of {b}. How many rows?",
        "How many times do {b_items} fit into {a}?",
    ),
}
"""By operation; `a` and `b` are its operands in the order of its written form."""


class Problem(NamedTuple):
    """One triple, told with names and things."""

    operation: str
    operands: tuple[int, int]
    wording: int
    text: str
    answer: int

    @property
    def id(self) -> str:
        """The triple as a word; names and things do not enter it."""
        return f"{self.operation}-{self.operands[0]}-{self.operands[1]}-{self.wording}"


class Task(NamedTuple):
    """Two operands and what they give."""

    a: int
    b: int
    answer: int


def tasks(operation: str) -> Iterator[Task]:
    """Yield the operands of an operation.

    Sums of numbers to 20 (400), differences from 25 (300), the multiplication table from 2 to 9
    (64) and its inverse (64).
    """
    if operation == "addition":
        yield from (Task(a, b, a + b) for a, b in product(range(1, 21), repeat=2))
    elif operation == "subtraction":
        yield from (Task(a, b, a - b) for a in range(2, 26) for b in range(1, a))
    elif operation == "multiplication":
        yield from (Task(a, b, a * b) for a, b in product(range(2, 10), repeat=2))
    else:
        yield from (Task(b * answer, b, answer) for answer, b in product(range(2, 10), repeat=2))


def problems(wordings: int, seed: int) -> Iterator[Problem]:
    """Yield every triple once.

    Args:
        wordings: How many wordings of each operation are used, from the first.
        seed: Chooses the names and things of each problem.
    """
    for operation, templates in WORDINGS.items():
        for task in tasks(operation):
            for wording, template in enumerate(templates[:wordings]):
                random = Random(f"{seed}:{operation}:{task.a}:{task.b}:{wording}")
                text = _tell(template, task, random)
                yield Problem(operation, (task.a, task.b), wording, text, task.answer)


def _tell(template: str, task: Task, random: Random) -> str:
    name, other = random.sample(NAMES, 2)
    items = random.choice(ITEMS)
    return template.format(
        name=name,
        other=other,
        items=items,
        a=task.a,
        b=task.b,
        a_items=_counted(task.a, items),
        b_items=_counted(task.b, items),
    )


def _counted(number: int, items: str) -> str:
    return f"{number} {items if number > 1 else items[:-1]}"

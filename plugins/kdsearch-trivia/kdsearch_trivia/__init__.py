"""Trivia: `history_trivia` by multiple choice, `trivia_qa` and `nq_open` by free answer."""

from __future__ import annotations

from kdsearch.plugin import API, Domain, hookimpl
from kdsearch_trivia.history import HistoryTrivia
from kdsearch_trivia.open_answers import NqOpen, TriviaQa

KDSEARCH_API = API


@hookimpl
def kdsearch_domains() -> list[Domain]:
    """Offer the domains."""
    return [HistoryTrivia(), TriviaQa(), NqOpen()]

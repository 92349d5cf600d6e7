"""One run, from its spec to its summary."""

from kdsearch.run.item_addition import add_items
from kdsearch.run.lifecycle import extend, resume, run
from kdsearch.run.prepared_search import Executor

__all__ = ["Executor", "add_items", "extend", "resume", "run"]

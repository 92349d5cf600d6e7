"""Reads the rows of a dataset on the hub, downloaded once and kept by the datasets library.

It is the only place that loads datasets; a script in one is never run.
"""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kdsearch.errors import DataError
from kdsearch.plugin.reading import Row
from kdsearch.plugin.texts import tidy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE = 5.0
"""Seconds to wait for the hub's first answer; its own client tries for 23 s and more."""


def hub_rows(
    name: str, splits: Mapping[str, str] | None, configuration: str | None = None, **request: Any
) -> Iterator[Row]:
    """Yield the rows of a dataset on the hub.

    Where the hub does not answer, what an earlier download left in the cache is used.

    Args:
        name: The dataset, such as `openai/gsm8k`.
        splits: The hub's name of each official split by our own, held-out splits first; None for
            all that there are, by their names, `train` last.
        configuration: Which of its configurations, where there are several.
        request: What else `datasets.load_dataset` is asked for.

    Raises:
        DataError: If it cannot be loaded, saying how to name local files instead.
    """
    # By name: this layer stays free of the library, and of the second that it takes to import.
    library = import_module("datasets")
    asked = [name] if configuration is None else [name, configuration]
    offline = hub_is_off()
    try:
        with _offline(offline):
            loaded = library.load_dataset(*asked, **{**request, "trust_remote_code": False})
    except Exception as error:  # refused, moved, not cached: the library raises a dozen classes
        message = f"cannot be loaded from the hub: {tidy(str(error))}"
        if offline:
            message = "it is not in the cache, and the hub does not answer"
        fix = "set domain.options.path to its files, downloaded elsewhere"
        raise DataError(message, where=name, fix=fix) from error
    if splits is None:
        splits = {split: split for split in sorted(loaded, key=lambda split: split == "train")}
    for split, theirs in splits.items():
        for number, values in enumerate(loaded.get(theirs, ()), start=1):
            yield Row(f"{name}/{theirs}:{number}", values, split)


def hub_is_off() -> bool:
    """Whether the hub does not answer, through whatever proxy the environment names.

    True without a try where the libraries were told so by `HF_HUB_OFFLINE`.
    """
    hub = import_module("huggingface_hub")
    if hub.constants.HF_HUB_OFFLINE:
        return True
    try:
        hub.utils.get_session().head(hub.constants.ENDPOINT, timeout=PATIENCE)
    except Exception:  # no name, no route, no answer: each client has its own classes
        return True
    return False


@contextmanager
def _offline(offline: bool) -> Iterator[None]:
    """Let the libraries look into their cache alone, instead of trying the hub again and again."""
    switches: list[Any] = [
        import_module("huggingface_hub.constants"),
        import_module("datasets.config"),
    ]
    before = [switch.HF_HUB_OFFLINE for switch in switches]
    try:
        for switch in switches:
            switch.HF_HUB_OFFLINE = offline or switch.HF_HUB_OFFLINE
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.HF_HUB_OFFLINE = value

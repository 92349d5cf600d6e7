from __future__ import annotations

from typing import Any

import huggingface_hub
import pytest
from datasets import config

from kdsearch.errors import DataError
from kdsearch.plugin.hub import hub_is_off, hub_rows
from kdsearch.testing import fake_hub

SPLITS = {"dev": "validation", "test": "test", "train": "train"}


def test_hub_rows_come_by_split(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_hub(monkeypatch, {"train": [{"text": "Up"}], "validation": [{"text": "Down"}]})
    rows = hub_rows("a/b", SPLITS, "main", revision="x")
    assert [(row.where, row.split) for row in rows] == [
        ("a/b/validation:1", "dev"),
        ("a/b/train:1", "train"),
    ]
    assert asked == [(("a/b", "main"), {"revision": "x"})]


def test_no_request_lets_a_datasets_own_code_run(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def load_dataset(*names: str, **request: Any) -> dict[str, Any]:
        asked.append(request)
        return {}

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr("kdsearch.plugin.hub.hub_is_off", lambda: False)
    list(hub_rows("a/b", SPLITS, trust_remote_code=True))
    assert asked == [{"trust_remote_code": False}]


def test_all_splits_come_with_train_last(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, {name: [{"text": "Up"}] for name in ("train", "validation", "test")})
    assert [row.split for row in hub_rows("a/b", None)] == ["validation", "test", "train"]


def test_what_the_hub_refuses_is_told_with_a_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_hub(monkeypatch, ConnectionError("moved\nelsewhere"))
    with pytest.raises(DataError, match="a/b: cannot be loaded from the hub: moved else") as caught:
        list(hub_rows("a/b", SPLITS))
    assert "domain.options.path" in str(caught.value.fix)


def test_off_the_network_only_the_cache_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def load_dataset(*names: str, **request: Any) -> dict[str, Any]:
        seen.append(huggingface_hub.constants.HF_HUB_OFFLINE and config.HF_HUB_OFFLINE)
        raise ConnectionError

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    monkeypatch.setattr("kdsearch.plugin.hub.hub_is_off", lambda: True)
    before = (huggingface_hub.constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE)
    with pytest.raises(DataError, match="not in the cache, and the hub does not answer"):
        list(hub_rows("a/b", SPLITS))
    assert seen == [True]
    assert before == (huggingface_hub.constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE)


@pytest.mark.parametrize("error", [None, ConnectionError("no route"), TimeoutError()])
def test_the_hub_is_asked_once(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    asked: list[str] = []

    class Session:
        def head(self, url: str, timeout: float) -> None:
            asked.append(url)
            if error:
                raise error

    monkeypatch.setattr("huggingface_hub.utils.get_session", Session)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert hub_is_off() == (error is not None)
    assert asked == [huggingface_hub.constants.ENDPOINT]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert hub_is_off()
    assert len(asked) == 1

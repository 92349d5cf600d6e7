"""The hooks by which plugins enter. Each returns a list and takes no arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    from kdsearch.plugin.api import Domain, Ladder, Loss

GROUP = "kdsearch"
"""The entry-point group, and the project name of the markers."""

hookspec = HookspecMarker(GROUP)
hookimpl = HookimplMarker(GROUP)


@hookspec
def kdsearch_domains() -> list[Domain]:  # type: ignore[empty-body]  # a hookspec has no body
    """Return the domains that this plugin offers."""


@hookspec
def kdsearch_losses() -> list[Loss]:  # type: ignore[empty-body]  # a hookspec has no body
    """Return the loss terms that this plugin offers."""


@hookspec
def kdsearch_ladders() -> list[Ladder]:  # type: ignore[empty-body]  # a hookspec has no body
    """Return the ladders that this plugin offers."""

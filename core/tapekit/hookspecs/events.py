"""Events: what happened, told to whoever listens."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from tapekit.hookspecs._markers import hookspec

__all__ = ["Event", "tapekit_on_event"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, in the past tense.

    ``name`` is ``PLUGIN.what-happened``, such as ``ndmp_v4.session-opened``;
    ``facts`` are plain values that a log can print, never a secret.
    """

    name: str
    facts: Mapping[str, str | int | float]
    time_s: float
    """Seconds since 1970."""


@hookspec
def tapekit_on_event(event: Event) -> None:
    """Hear of an event.

    Called on all plugins for each event, from any thread; must return at
    once. What it raises is logged and does not reach the one who announced.
    """

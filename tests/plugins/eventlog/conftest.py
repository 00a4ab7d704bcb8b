"""Events of a backup, a restore and their tapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1_795_341_600.0
"""Sun Nov 22 10:00:00 UTC 2026"""


@pytest.fixture
def happen() -> Callable[..., Event]:
    """Makes an event of session 7, ``after_s`` seconds later than the first."""

    def make(name: str, after_s: float = 0.0, **facts: str | float) -> Event:
        return Event(name=name, facts={"holder": "session 7", **facts}, time_s=NOW + after_s)

    return make

"""Who has which device: one holder each, whatever the device is.

The one rule: a place in the table is taken in one step that no other thread
can divide, before the device is touched, and given back after it was closed.
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["Holds"]


@final
class _Hold:
    """One opening, told apart from others by the same holder."""

    def __init__(self, holder: str) -> None:
        self.holder: Final = holder


@final
class Holds:
    """The table of holders of devices of one kind, by number.

    Calls may come from several threads at once.
    """

    def __init__(self) -> None:
        self._holds: Final[dict[int, _Hold]] = {}

    def take(self, number: int, holder: str) -> str | None:
        """Take a place; ``None`` if it was free, else who has it."""
        hold = _Hold(holder)
        present = self._holds.setdefault(number, hold)
        return None if present is hold else present.holder

    def give_back(self, number: int) -> None:
        """Make a place free that was taken."""
        del self._holds[number]

    def holder(self, number: int) -> str | None:
        """Who has a place now."""
        hold = self._holds.get(number)
        return hold.holder if hold else None

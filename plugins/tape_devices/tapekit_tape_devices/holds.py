"""Who has which device: one holder each, whatever the device is.

Devices are opened and closed in worker threads, which a place is waited for
in while its holder is leaving. The one rule: a place in the table is taken in
one step that no other thread can divide, before the device is touched, and
given back after it was closed.
"""

from __future__ import annotations

import threading
from typing import Final, final

__all__ = ["Holds"]


@final
class _Hold:
    """One opening, told apart from others by the same holder."""

    def __init__(self, holder: str) -> None:
        self.holder: Final = holder
        self.is_leaving = False
        """Whether the device is being closed."""


@final
class Holds:
    """The table of holders of devices of one kind, by number.

    Calls may come from several threads at once.
    """

    def __init__(self) -> None:
        self._holds: Final[dict[int, _Hold]] = {}
        self._changed: Final = threading.Condition()

    def take(self, number: int, holder: str, patience_s: float = 0.0) -> str | None:
        """Take a place; ``None`` if it was free, else who has it.

        :param patience_s: how long a holder is waited for that is leaving.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._is_left(number), patience_s)
            present = self._holds.get(number)
            if present is None:
                self._holds[number] = _Hold(holder)
        return present.holder if present else None

    def _is_left(self, number: int) -> bool:
        hold = self._holds.get(number)
        return hold is not None and hold.is_leaving

    def leave(self, number: int) -> None:
        """Tell that a place will be free soon, since its device is being closed."""
        with self._changed:
            self._holds[number].is_leaving = True

    def give_back(self, number: int) -> None:
        """Make a place free that was taken."""
        with self._changed:
            del self._holds[number]
            self._changed.notify_all()

    def holder(self, number: int) -> str | None:
        """Who has a place now."""
        hold = self._holds.get(number)
        return hold.holder if hold else None

"""Which drives an administrator has taken offline, over restarts.

A drive is remembered by its serial number, wherever it is plugged in, or by
its physical path if it has none. The one rule: what a caller was told is in
the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_tape_devices.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.state import StateStore
    from tapekit.hookspecs.tape_driver import DriveDescription

__all__ = ["OfflineDrives"]

_SPACE: Final = "tape_devices"
_OFFLINE: Final = "offline."


@final
class OfflineDrives:
    """The drives that are offline. Calls may come from several threads."""

    def __init__(self, state: StateStore | None = None) -> None:
        """:param state: what remembers them; without it they are all online."""
        self._state: Final = state

    def is_offline(self, drive: DriveDescription) -> bool:
        """Whether a drive is offline."""
        return self._state is not None and self._state.get(_SPACE, _key(drive)) is not None

    def refuse(self, drive: DriveDescription) -> None:
        """Judge a drive that is about to be used.

        :raises TapeError: ``NO_DEVICE``, it is offline.
        """
        if self.is_offline(drive):
            raise CATALOGUE.raised_as(
                TapeError,
                "drive-offline",
                condition=Condition.NO_DEVICE,
                drive=drive.physical_path,
            )

    def set(self, drive: DriveDescription, *, is_online: bool) -> None:
        """Bring a drive online or take it offline; durable on return.

        :raises TapekitError: the store cannot be written; nothing changed.
        """
        assert self._state is not None
        self._state.change(_SPACE, {_key(drive): None if is_online else b""})


def _key(drive: DriveDescription) -> str:
    return _OFFLINE + (drive.serial.strip().casefold() or drive.physical_path)

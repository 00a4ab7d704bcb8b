"""A tape device that somebody holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.hookspecs.tape_driver import DeviceRow, TapeDrive

__all__ = ["HeldTape"]


@final
class HeldTape:
    """A :class:`tapekit.hookspecs.tape_driver.OpenTape` of the inventory."""

    def __init__(
        self,
        device: DeviceRow,
        drive: TapeDrive,
        let_go: Callable[[], object],
        *,
        is_writable: bool,
        reload: Callable[[], object],
    ) -> None:
        """:param let_go: called once, when the drive has been closed.
        :param reload: changes the tape of a device that unloads.
        """
        self.device: Final = device
        self.drive: Final = drive
        self.is_writable: Final = is_writable
        self._let_go: Final = let_go
        self._reload: Final = reload
        self._is_closed = False

    def close(self) -> None:
        """See :meth:`OpenTape.close`; later calls do nothing.

        :raises TapeError: rewinding, unloading, changing the tape or closing
            failed; the device is free all the same.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            try:
                self._leave_tape()
            finally:
                self.drive.close()
        finally:
            self._let_go()

    def _leave_tape(self) -> None:
        if not (self.device.rewinds or self.device.unloads):
            return
        has_tape = self.drive.status().has_tape
        if self.device.unloads:
            if has_tape:
                self.drive.unload()
            # Also if somebody has unloaded the tape before.
            self._reload()
        elif has_tape:
            self.drive.rewind()

"""Devices that come and go, as the kernel announces them.

The kernel tells every change of its list of devices on a netlink socket,
without anybody being asked to look. The one rule: what is heard only says
that it is worth to look again; what is there is read anew.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Announcements", "kernel_socket"]

_LOG: Final = logging.getLogger("tapekit.scsi_sg")

_KOBJECT_UEVENT: Final = 15
_KERNEL_GROUP: Final = 1
_LONGEST: Final = 1 << 16
_SUBJECT: Final = b"SUBSYSTEM=scsi_generic"
_QUIET_S: Final = 0.5
"""Devices come in groups; a look waits until no more have come for so long."""


async def kernel_socket() -> trio.socket.SocketType:
    """A socket on which the kernel tells of devices.

    :raises OSError: there is none for this process.
    """
    made = trio.socket.socket(
        trio.socket.AF_NETLINK, trio.socket.SOCK_DGRAM | trio.socket.SOCK_CLOEXEC, _KOBJECT_UEVENT
    )
    try:
        await made.bind((0, _KERNEL_GROUP))
    except BaseException:
        made.close()
        raise
    return made


@final
class Announcements:
    """Listens for changes of the list of devices; one listener at a time."""

    def __init__(
        self, connect: Callable[[], Awaitable[trio.socket.SocketType]] = kernel_socket
    ) -> None:
        """:param connect: see :func:`kernel_socket`."""
        self._connect: Final = connect
        self._socket: trio.socket.SocketType | None = None

    async def change(self) -> None:
        """Return when devices have come or gone since the last call; the first
        time, when it is listened to. Whoever gives up waiting ends the listening.
        """
        try:
            await self._change()
        except BaseException:
            self.close()
            raise

    async def _change(self) -> None:
        if self._socket is None:
            try:
                self._socket = await self._connect()
            except OSError as error:
                _LOG.warning("new devices are not noticed until the next start: %s", error)
                await trio.sleep_forever()
            return
        await self._heard(self._socket)
        is_quiet = False
        while not is_quiet:
            with trio.move_on_after(_QUIET_S) as waiting:
                await self._heard(self._socket)
            is_quiet = waiting.cancelled_caught

    async def _heard(self, socket: trio.socket.SocketType) -> None:
        """Return when something is told of SCSI devices."""
        while True:
            try:
                told = await socket.recv(_LONGEST)
            except OSError as error:
                # More was told than there was room for.
                _LOG.info("announcements of devices were lost: %s", error)
                return
            if _SUBJECT in told.split(b"\0"):
                return

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

"""A door over two paths: when one fails, the other serves what comes next.

A command that got no answer is not sent again, since nobody knows whether the
device has carried it out. Instead the other path is opened, and the command
answered as a device does that has lost its initiator (SAM, I_T nexus loss).
Whoever drives the device sends again what depends on no position, goes on
where the position of the tape proves that it may, and tells that the position
is unknown otherwise. The one rule: no command is carried out twice, also not
one that arrives late, so a path on which an answer is only overdue is told as
a reset, after which no position proves anything.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.sense import Sense, SenseKey, encode_sense
from tapekit_multipath.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.scsi.door import DeviceDoor, ScsiAddress
    from tapekit_multipath.paths import DevicePath

__all__ = ["FailoverDoor"]

_LOG: Final = logging.getLogger("tapekit.multipath")

_NO_ANSWER: Final = frozenset({Condition.NO_DEVICE, Condition.HARDWARE_ERROR, Condition.TIMEOUT})
"""What a door raises when the device has given no answer."""

_NEXUS_LOST: Final = CdbReply(
    Status.CHECK_CONDITION, sense=encode_sense(Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x07))
)
"""The connection has ended, and what was sent over it with it."""

_OVERDUE: Final = CdbReply(
    Status.CHECK_CONDITION, sense=encode_sense(Sense(SenseKey.UNIT_ATTENTION, 0x29, 0x00))
)
"""The command may still be under way, or be carried out yet."""


@final
class FailoverDoor:
    """A :class:`tapekit.scsi.door.DeviceDoor` over the first path that works."""

    def __init__(self, paths: Sequence[DevicePath], device: str) -> None:
        """:param paths: in the order in which they are tried.
        :param device: the device's physical path name, for messages.
        :raises TapeError: none of them works; ``NO_DEVICE``, or what the only
            one says.
        """
        self._left: Final = list(paths)
        self._device: Final = device
        self._reasons: Final[list[TapeError]] = []
        self._path, self._door = self._next()

    def _next(self) -> tuple[DevicePath, DeviceDoor]:
        """Open the next path that works."""
        while self._left:
            path = self._left.pop(0)
            try:
                door = path.driver.open_door(path.found.address)
            except TapeError as error:
                if error.condition not in _NO_ANSWER:
                    raise
                path.failed()
                self._reasons.append(error)
                continue
            path.is_working = True
            return path, door
        if len(self._reasons) == 1:
            raise self._reasons[0]
        raise CATALOGUE.raised_as(
            TapeError,
            "all-paths-failed",
            condition=Condition.NO_DEVICE,
            device=self._device,
            reasons="; ".join(map(str, self._reasons)),
        )

    @property
    def address(self) -> ScsiAddress:
        """See :attr:`CdbDoor.address`: that of the path in use."""
        return self._door.address

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`.

        :raises TapeError: there is no answer, and no other path either.
        """
        try:
            return self._door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=timeout_s)
        except TapeError as error:
            if error.condition not in _NO_ANSWER:
                raise
            self._fail_over(error)
            return _OVERDUE if error.condition is Condition.TIMEOUT else _NEXUS_LOST

    def _fail_over(self, error: TapeError) -> None:
        failed, door = self._path, self._door
        if not self._left:
            if failed.is_working:
                failed.failed()
            raise error
        failed.failed()
        self._reasons.append(error)
        self._path, self._door = self._next()
        _LOG.warning(
            "the path %s has failed (%s); %s is reached over %s now",
            failed.found.physical_path,
            error,
            self._device,
            self._path.found.physical_path,
        )
        try:
            door.close()
        except TapeError as trouble:
            _LOG.info("the path %s: %s", failed.found.physical_path, trouble)

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        self._door.reset()

    def close(self) -> None:
        """See :meth:`DeviceDoor.close`."""
        self._door.close()

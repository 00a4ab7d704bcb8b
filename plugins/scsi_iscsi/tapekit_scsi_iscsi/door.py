"""The raw door of a logical unit: one login of its own, for as long as it is open.

While no command runs, a thread answers the target's questions whether anybody
is still there; without it a pause of the backup would end the connection. The
one rule: once an answer has failed to come, nothing more is sent through this
door, because where the tape stands is not known; whoever opens the device
again gets a new door and finds out.
"""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING, Final, Protocol, final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit_scsi_iscsi.errors import CATALOGUE
from tapekit_scsi_iscsi.library import LibraryFailure

if TYPE_CHECKING:
    from tapekit.scsi.door import CdbReply, ScsiAddress

__all__ = ["Connection", "IscsiDoor"]

_LOG: Final = logging.getLogger("tapekit.scsi_iscsi")

_REST_S: Final = 1.0
"""How long questions of a target may wait; targets allow 5 seconds and more."""

_PARTING_S: Final = 5
_RESET_S: Final = 60


class Connection(Protocol):
    """What a door needs of a login; see :class:`tapekit_scsi_iscsi.library.Context`."""

    def execute(
        self, lun: int, cdb: bytes, data_out: bytes, data_in: int, timeout_s: int
    ) -> CdbReply:
        """Run one command."""
        ...

    def reset(self, lun: int, timeout_s: int) -> None:
        """Reset a logical unit."""
        ...

    def serve(self) -> None:
        """Answer what the target has asked meanwhile."""
        ...

    def log_out(self, timeout_s: int) -> None:
        """Tell the target that nothing more comes."""
        ...

    def destroy(self) -> None:
        """Close the connection."""
        ...


@final
class IscsiDoor:
    """A :class:`tapekit.scsi.door.CdbDoor` over a connection that it owns."""

    def __init__(
        self,
        connection: Connection,
        device: str,
        address: ScsiAddress,
        lun: int,
        *,
        rest_s: float = _REST_S,
    ) -> None:
        """:param device: the device's physical path name, for messages.
        :param lun: as the first two bytes of a LUN on the wire (SAM).
        :param rest_s: seconds between two looks at a connection without commands.
        """
        self.address: Final = address
        self._connection: Final = connection
        self._device: Final = device
        self._lun: Final = lun
        self._lost: str | None = None
        """Why nothing more can be sent."""
        self._alone: Final = threading.Lock()
        self._end: Final = threading.Event()
        self._keeper: Final = threading.Thread(
            target=self._keep, args=(rest_s,), name=f"iscsi {device}", daemon=True
        )
        self._keeper.start()

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        """See :meth:`CdbDoor.execute`.

        :raises TapeError: ``TIMEOUT``, or ``HARDWARE_ERROR`` when the
            connection is lost.
        """
        seconds = 0 if timeout_s is None else max(math.ceil(timeout_s), 1)
        with self._alone:
            self._check_path()
            try:
                return self._connection.execute(self._lun, cdb, data_out, data_in, seconds)
            except LibraryFailure as failure:
                self._lost = str(failure)
                if failure.is_timeout:
                    raise CATALOGUE.raised_as(
                        TapeError,
                        "no-answer",
                        condition=Condition.TIMEOUT,
                        device=self._device,
                        opcode=f"{cdb[0]:02X}h",
                        seconds=seconds,
                    ) from failure
                raise self._path_lost() from failure

    def reset(self) -> None:
        """See :meth:`CdbDoor.reset`."""
        with self._alone:
            self._check_path()
            try:
                self._connection.reset(self._lun, _RESET_S)
            except LibraryFailure as failure:
                raise CATALOGUE.raised_as(
                    TapeError,
                    "not-reset",
                    condition=Condition.HARDWARE_ERROR,
                    device=self._device,
                    reason=str(failure),
                ) from failure

    def close(self) -> None:
        """Log out and let go; later calls do nothing."""
        if self._end.is_set():
            return
        self._end.set()
        self._keeper.join()
        with self._alone:
            try:
                if self._lost is None:
                    self._connection.log_out(_PARTING_S)
            except LibraryFailure as failure:
                # All data is on the tape by now, and the connection ends either way.
                _LOG.info("%s: the target did not answer the logout: %s", self._device, failure)
            finally:
                self._lost = self._lost or "the device has been closed"
                self._connection.destroy()

    def _check_path(self) -> None:
        if self._lost is not None:
            raise self._path_lost()

    def _path_lost(self) -> TapeError:
        return CATALOGUE.raised_as(
            TapeError,
            "path-lost",
            condition=Condition.HARDWARE_ERROR,
            device=self._device,
            reason=self._lost,
        )

    def _keep(self, rest_s: float) -> None:
        while not self._end.wait(rest_s):
            # Whoever runs a command serves the connection by that.
            if self._alone.acquire(blocking=False):
                try:
                    self._serve()
                finally:
                    self._alone.release()

    def _serve(self) -> None:
        if self._lost is not None:
            return
        try:
            self._connection.serve()
        except LibraryFailure as failure:
            self._lost = str(failure)
            _LOG.warning("%s: the connection to the target has ended: %s", self._device, failure)

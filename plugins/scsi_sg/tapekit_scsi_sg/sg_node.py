"""A device node of the generic SCSI driver: the system calls and their structure.

A command is written to the node, and its answer read (version 3 of the
driver's interface), which blocks its thread and lets all others run. What the
kernel answers is given back as it is. The one rule: nothing but reading waits
for an answer. Whatever stops a process for a while (SIGSTOP, a debugger, a
frozen control group, a host that sleeps) ends a call that waits, and the
kernel begins it anew: a read then waits on, but SG_IO would send its command
a second time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import struct
from typing import TYPE_CHECKING, Final, NamedTuple, final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOREVER", "SgAnswer", "SgNode"]

FOREVER: Final = 0xFFFF_FFFF
"""A time limit that never comes, in milliseconds."""

_SG_SCSI_RESET: Final = 0x2284
_SG_SET_RESERVED_SIZE: Final = 0x2275
_RESET_DEVICE: Final = 1

_RESERVED_BYTES: Final = 1 << 20
"""Memory that the kernel keeps for transfers while the node is open."""

_HEADER: Final = struct.Struct("@iiBBHIPPPIIiPBBBBHHiII0P")
"""``struct sg_io_hdr``; its last nine fields are the answer."""

_INTERFACE: Final = ord("S")
_NO_DATA, _TO_DEVICE, _FROM_DEVICE = -1, -2, -3
_SENSE_BYTES: Final = 252
_ALL_SIGNALS: Final = frozenset(signal.Signals)


class SgAnswer(NamedTuple):
    """What the kernel says of a command."""

    status: int
    """The device's own status."""
    host_status: int
    """0, or what went wrong on the way to the device."""
    driver_status: int
    """0, or what else the kernel has to say; 8 tells of sense data."""
    residual: int
    """Bytes that were not transferred, as far as the adapter tells."""
    data: bytes
    """What came in, as long as was asked for."""
    sense: bytes


@final
class SgNode:
    """An open node; one caller at a time."""

    def __init__(self, path: str) -> None:
        """Open a node for this process alone.

        :raises OSError: it is not there, may not be opened, or another
            program has it (``EBUSY``).
        """
        flags = os.O_RDWR | os.O_NONBLOCK | os.O_EXCL | os.O_CLOEXEC
        self._descriptor: int | None = os.open(path, flags)
        self._room = ctypes.create_string_buffer(0)
        self._is_owed = False
        """Whether an answer is still to come that nobody has read."""
        # Not to wait is for opening alone: the answers are waited for.
        os.set_blocking(self._descriptor, True)
        with contextlib.suppress(OSError):
            # It need not: without, it finds the memory anew for each command.
            fcntl.ioctl(self._descriptor, _SG_SET_RESERVED_SIZE, struct.pack("@i", _RESERVED_BYTES))

    def send(self, cdb: bytes, data_out: bytes, data_in: int, limit_ms: int) -> SgAnswer:
        """Run one command.

        :param data_out: what goes with it; then ``data_in`` is 0.
        :raises OSError: the kernel has not sent it, or the device is gone.
        """
        descriptor = self._open_descriptor()
        if data_out:
            direction, length = _TO_DEVICE, len(data_out)
            place = ctypes.cast(ctypes.c_char_p(data_out), ctypes.c_void_p).value or 0
        elif data_in:
            direction, length, place = _FROM_DEVICE, data_in, self._roomy(data_in)
        else:
            direction, length, place = _NO_DATA, 0, 0
        command = ctypes.create_string_buffer(cdb, len(cdb))
        sense = ctypes.create_string_buffer(_SENSE_BYTES)
        header = bytearray(
            _HEADER.pack(
                *(_INTERFACE, direction, len(cdb), _SENSE_BYTES, 0, length),
                *(place, ctypes.addressof(command), ctypes.addressof(sense)),
                *(limit_ms, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            )
        )
        with _undisturbed():
            os.write(descriptor, header)
            # If reading fails, what comes later must not pass for another answer.
            self._is_owed = True
            os.readv(descriptor, [header])
            self._is_owed = False
        *_, status, _, _, written, host, driver, residual, _, _ = _HEADER.unpack(header)
        data = memoryview(self._room)[:data_in].tobytes() if data_in else b""
        return SgAnswer(status, host, driver, residual, data, sense.raw[:written])

    def _roomy(self, size: int) -> int:
        """The place of a buffer of this size."""
        if len(self._room) < size:
            self._room = ctypes.create_string_buffer(size)
        return ctypes.addressof(self._room)

    def reset(self) -> None:
        """Reset the device alone.

        :raises OSError: the adapter cannot, or this process may not.
        """
        kind = struct.pack("@i", _RESET_DEVICE)
        with _undisturbed():
            fcntl.ioctl(self._open_descriptor(), _SG_SCSI_RESET, kind)

    def close(self) -> None:
        """Let go of the device; later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise OSError(errno.EBADF, "the device has been closed")
        if self._is_owed:
            raise OSError(errno.ENODEV, "the device owes an answer")
        return self._descriptor


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep signals from this thread, for another one to take."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ALL_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

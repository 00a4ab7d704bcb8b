"""What a client wants done, and what came of it.

Plans are plain values that a catalogue can keep: the parts of an image that
a backup reports are the parts that a restore takes. Positions and lengths
are bytes of the image, times are seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias, final

import msgspec

from tapekit_ndmp_v4.client.private_data import PrivateData
from tapekit_ndmp_v4.messages import DataGetStateReply, Message, Name
from tapekit_ndmp_v4.numbers import (
    UNLIMITED,
    AddrType,
    DataHaltReason,
    MoverHaltReason,
    MoverPauseReason,
)

__all__ = [
    "BackupPlan",
    "BackupResult",
    "Connecting",
    "ImagePart",
    "NextTape",
    "RecoverPlan",
    "RecoverResult",
    "TapeAt",
    "TapeWanted",
    "Watch",
]


@final
class TapeAt(msgspec.Struct, frozen=True):
    """A place on tape: tape file ``file``, from 0, on a device."""

    device: str
    file: int = 0


@final
class ImagePart(msgspec.Struct, frozen=True):
    """What of an image lies at one place; the length of the last part may be
    :data:`UNLIMITED`.
    """

    tape: TapeAt
    offset: int = 0
    length: int = UNLIMITED

    def holds(self, position: int) -> bool:
        """Whether a byte of the image lies here."""
        return self.offset <= position and position - self.offset < self.length


@final
class TapeWanted(msgspec.Struct, frozen=True):
    """What an operation needs to go on.

    ``part`` is where a restore goes on, to be loaded; for a backup it is the
    part that is now full.
    """

    reason: MoverPauseReason
    position: int
    part: ImagePart


NextTape: TypeAlias = Callable[[TapeWanted], Awaitable[TapeAt | None]]
"""Loads the next tape and says where to go on; ``None`` gives the operation up."""


@final
class Connecting(msgspec.Struct, frozen=True, kw_only=True):
    """How data server and mover find each other."""

    kind: AddrType | None = None
    """``None``: LOCAL in one session, TCP between two."""
    data_listens: bool = False
    """Normally the mover listens; firewalls may want the reverse."""
    private_data: PrivateData = PrivateData.NO
    """Whether data between two sessions is to go inside TLS."""


@final
class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller hears of while an operation runs; all but ``on_tape`` must be quick."""

    on_post: Callable[[Message], object] | None = None
    """Gets LOG posts of both sessions, and file history of a backup."""
    on_state: Callable[[DataGetStateReply, float], object] | None = None
    """Gets the data server's state and how long the answer took."""
    on_tape: Callable[[], Awaitable[None]] | None = None
    """Looks at each tape that the operation has opened, before it is gone
    over: from here on nobody else can exchange it. What it raises ends the
    operation."""
    poll_every_s: float = 1.0
    """How often to ask for the state, if ``on_state`` is there."""


@final
class BackupPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A backup to one place on tape, and on to others when it is full."""

    tape: TapeAt
    environment: tuple[tuple[str, str], ...]
    butype: str = "dump"
    record_size: int = 65536
    """Bytes of a tape record; a restore needs the same."""
    filemarks: int = 2
    """Written behind each part that does not end at the end of a medium."""
    connecting: Connecting = Connecting()


@final
class BackupResult(msgspec.Struct, frozen=True, kw_only=True):
    """A good backup: keep ``environment`` and ``parts`` for the restore."""

    environment: tuple[tuple[str, str], ...]
    parts: tuple[ImagePart, ...]
    bytes_moved: int
    """Bytes on tape, the padding of the last record included."""
    bytes_processed: int
    """Bytes of the image."""
    seconds: float
    """From DATA_START_BACKUP until both servers halted."""
    data_halt: DataHaltReason
    mover_halt: MoverHaltReason


@final
class RecoverPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A restore of the whole image or of a list.

    ``environment`` is what the backup gave back, with the changes that the
    restore needs. Without ``names`` all of the image goes to the place it
    came from. With ``DIRECT=Y`` the server goes straight to the ``fh_info``
    of each name, and only the parts that have something of it are loaded.
    """

    parts: tuple[ImagePart, ...]
    environment: tuple[tuple[str, str], ...]
    names: tuple[Name, ...] = ()
    butype: str = "dump"
    record_size: int = 65536
    connecting: Connecting = Connecting()


@final
class RecoverResult(msgspec.Struct, frozen=True, kw_only=True):
    """A good restore."""

    bytes_processed: int
    """Bytes of the image that the data server took in."""
    bytes_moved: int
    """Bytes that the mover sent; a little more, since it reads ahead."""
    seconds: float
    data_halt: DataHaltReason
    mover_halt: MoverHaltReason

"""Leaves on tape what a lost catalogue is rebuilt from, behind each backup.

The backup is good already when this begins. The one rule: nothing that goes
wrong here makes it less so; it is told, and the catalogue tape file of the
next backup has all of it again but the file index.
"""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit_dma.tape_catalogue import Section, encode_catalogue, pack
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import NdmpError

if TYPE_CHECKING:
    from typing import IO

    from tapekit_dma.drive import Drive
    from tapekit_dma.media import MediaSet
    from tapekit_dma.records import Backup, Cartridge
    from tapekit_dma.sessions import Room

__all__ = ["leave_on_tape"]

_NO_INDEX: Final = Section(0, "")


async def leave_on_tape(
    backup: Backup, cartridge: Cartridge, media: MediaSet, drive: Drive, room: Room
) -> None:
    """Write a catalogue tape file behind a backup; where its cartridge has no
    room for it, to the next one.

    :param cartridge: the one that the backup ends on.
    """
    index = media.index_of(backup)
    try:
        with TemporaryFile(dir=index.parent) as packed:
            section = _NO_INDEX
            if index.exists():
                section = await trio.to_thread.run_sync(pack, index, packed)
            if not await _is_written(backup, cartridge, media, drive, packed, section):
                other = await media.next_to_write(drive)
                if not await _is_written(backup, other, media, drive, packed, section):
                    room.tell(_warning(backup, f"it does not fit on {other.barcode} either"))
    except (TapekitError, OSError) as problem:
        room.tell(_warning(backup, str(problem)))


def _warning(backup: Backup, reason: str) -> str:
    return f"{backup.name} is good, but no catalogue tape file could be written: {reason}"


async def _is_written(
    backup: Backup,
    cartridge: Cartridge,
    media: MediaSet,
    drive: Drive,
    packed: IO[bytes],
    section: Section,
) -> bool:
    """Write it to one cartridge, unless that is full; it is then kept as such."""
    file = cartridge.next_file
    after = msgspec.structs.replace(cartridge, next_file=file + 1, has_rest=False)
    packed.seek(0)
    records = encode_catalogue(media.present(after, backup), packed, section)
    try:
        await drive.append_file(file, records, barcode=cartridge.barcode, label=cartridge.label)
    except NdmpReplyError as refused:
        if refused.code != NdmpError.EOM_ERR:
            raise
        media.keep(msgspec.structs.replace(cartridge, is_full=True))
        return False
    media.keep(after)
    return True

"""The offset map of a backup, gathered while objects go by.

Files come in the order of their numbers, so one every few MiB is noted as it
passes; directories are sorted at the end. The one rule: memory is bounded,
however many directories there are.
"""

from __future__ import annotations

import itertools
import stat
import zlib
from typing import TYPE_CHECKING, Final, final

from tapekit_dump.offset_map import ENTRY, MapHead, padding
from tapekit_dump.recover_spool import EntrySpool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit.hookspecs.data_engine import NodeEntry
    from tapekit.streams import StreamWriter
    from tapekit_dump.spool import SpoolRoom

__all__ = ["OffsetCollector"]

_GRAIN: Final = 4 << 20
"""Bytes of the stream between the files that are noted: what a restore may
read in vain, a hundredth of a second's worth."""

_IN_MEMORY: Final = 100_000
"""Directories that are sorted in memory."""

_PIECE: Final = 4096


@final
class OffsetCollector:
    """Notes offsets, and writes them as a map."""

    def __init__(self, room: SpoolRoom) -> None:
        self._files: Final = room.spool()
        self._directories: Final = EntrySpool(room, _IN_MEMORY)
        self._directory_count = 0
        self._due = 0

    def note(self, nodes: Iterable[NodeEntry]) -> None:
        """Objects have been written.

        :raises TapekitError: a spool cannot be written.
        """
        for node in nodes:
            if stat.S_ISDIR(node.mode):
                self._directories.add(ENTRY.pack(node.node, node.position))
                self._directory_count += 1
            elif node.position >= self._due:
                self._files.append(ENTRY.pack(node.node, node.position))
                self._due = node.position + _GRAIN

    def write(self, writer: StreamWriter, date: int) -> None:
        """Append the map to the stream.

        :raises ConnectionBroken: the stream's other end broke off.
        :raises TapekitError: a spool cannot be read.
        """
        files = self._files.length // ENTRY.size
        head = MapHead(
            date,
            files,
            self._directory_count,
            _checksum(self._file_pieces()),
            _checksum(self._directory_pieces()),
        )
        writer.write(head.pack())
        for piece in self._file_pieces():
            writer.write(piece)
        writer.write(bytes(padding(files)))
        for piece in self._directory_pieces():
            writer.write(piece)
        writer.write(bytes(padding(self._directory_count)))

    def close(self) -> None:
        """Free the spools."""
        self._files.close()
        self._directories.close()

    def _file_pieces(self) -> Iterator[bytes]:
        step = _PIECE * ENTRY.size
        for offset in range(0, self._files.length, step):
            yield bytes(self._files.read(offset, step))

    def _directory_pieces(self) -> Iterator[bytes]:
        entries = self._directories.in_order()
        while piece := b"".join(itertools.islice(entries, _PIECE)):
            yield piece


def _checksum(pieces: Iterable[bytes]) -> int:
    check = 0
    for piece in pieces:
        check = zlib.crc32(piece, check)
    return check

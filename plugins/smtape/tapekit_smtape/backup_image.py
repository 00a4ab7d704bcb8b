"""Writes an image: its header, its Snapshot copies one after the other, its end.

Of an increment the base copy is looked through first, for the copies to be
compared with it. The one rule: copies are sent in their order, each as the
change from the one before.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, final

from tapekit.streams import StreamWriter
from tapekit_smtape.backup_chunks import ChunkWriter
from tapekit_smtape.backup_copy import CopySender
from tapekit_smtape.backup_extents import shares_blocks
from tapekit_smtape.backup_index import CopyIndex
from tapekit_smtape.backup_walk import CopyWalk
from tapekit_smtape.errors import CATALOGUE
from tapekit_smtape.format_header import CopyRow, ImageHeader, encode_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tapekit.hookspecs.storage import KeepGoing
    from tapekit.hookspecs.volume_images import HeldSnapshot, SnapshotCopy
    from tapekit.segments import DataSink
    from tapekit_smtape.backup_selection import HeldCopies

__all__ = ["ImageSource", "write_image"]


@final
class ImageSource:
    """What an image is made of, and how far it is."""

    def __init__(self, *, volume: str, set_id: bytes, stamp_ns: int, held: HeldCopies) -> None:
        self.volume: Final = volume
        """``/vserver/volume``"""
        self.set_id: Final = set_id
        self.stamp_ns: Final = stamp_ns
        """Time stamp of the backup, in ns since 1970."""
        self.held: Final = held
        self._writer: ChunkWriter | None = None

    @property
    def description(self) -> str:
        """Which copies it is made of, by their identifiers."""
        base = "" if self.held.base is None else f" on {self.held.base.copy.identifier}"
        copies = ", ".join(f"{each.copy.name} {each.copy.identifier}" for each in self.held.copies)
        return f"Image of set {self.set_id.hex()}{base}: {copies}"

    @property
    def newest(self) -> SnapshotCopy:
        """The copy that the image ends with."""
        return self.held.copies[-1].copy

    @property
    def position(self) -> int:
        """Bytes of the stream so far."""
        return 0 if self._writer is None else self._writer.position

    def to(self, stream: StreamWriter) -> ChunkWriter:
        """Begin the image's stream."""
        self._writer = ChunkWriter(stream, self.set_id, self.stamp_ns)
        return self._writer


def write_image(
    source: ImageSource, sink: DataSink, spool: Path | None, keep_going: KeepGoing
) -> Iterator[str]:
    """Write all of an image and finish the sink; yields the name of each
    Snapshot copy once it is in the stream.

    :param spool: folder for temporary files; ``None`` is the system's.
    :raises ConnectionBroken: the stream's other end broke off.
    :raises OSError: a file of the volume, or a temporary one, cannot be read
        or written.
    :raises TapekitError: the volume is another one than that of the base.
    """
    with contextlib.ExitStack() as undo:
        index = undo.enter_context(contextlib.closing(CopyIndex(spool)))
        first = undo.enter_context(_walking(source.held.copies[0], keep_going))
        stream = StreamWriter(sink)
        undo.callback(stream.abandon)
        writer = source.to(stream)
        sender = CopySender(writer, index, shares=shares_blocks(first.top))
        writer.header(encode_header(_header(source, first.root_number)))
        yield from _send_copies(source, sender, first.root_number, keep_going)
        writer.finish()


def _send_copies(
    source: ImageSource, sender: CopySender, root: int, keep_going: KeepGoing
) -> Iterator[str]:
    copies, base = source.held.copies, source.held.base
    with contextlib.ExitStack() as undo:
        before: CopyWalk | None = None
        if base is not None:
            before = undo.enter_context(_walking(base, keep_going))
            if before.root_number != root:
                raise CATALOGUE.error("other-volume", path=source.volume, base=base.copy.name)
            sender.learn(before)
        for position, copy in enumerate(copies):
            walk = undo.enter_context(_walking(copy, keep_going))
            if before is None:
                sender.send_all(walk, position, note=len(copies) > 1)
            else:
                sender.send_changes(walk, before, position)
                before.close()
            before = walk
            yield copy.copy.name


def _walking(copy: HeldSnapshot, keep_going: KeepGoing) -> contextlib.closing[CopyWalk]:
    return contextlib.closing(CopyWalk(copy.tree, keep_going))


def _header(source: ImageSource, root: int) -> ImageHeader:
    base, newest = source.held.base, source.held.copies[-1]
    return ImageHeader(
        volume=source.volume,
        base=None if base is None else base.copy.identifier,
        copies=tuple(
            CopyRow(name=copy.name, identifier=copy.identifier, created_at_s=copy.created_at_s)
            for copy in (held.copy for held in source.held.copies)
        ),
        root=root,
        security_style=newest.traits.security_style.value,
        snaplock=newest.traits.snaplock.value,
        vm_align_sectors=newest.traits.vm_align_sectors,
    )

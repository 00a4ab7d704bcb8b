"""The beginning of a dump stream: its label, and which numbers it has.

What stands here follows from the first pass over the tree alone, so that it
can be written a second time. The one rule: both maps have the same size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit_dump.maps import dense_map, map_records

if TYPE_CHECKING:
    from tapekit_dump.backup_stream import ObjectStream
    from tapekit_dump.walk import TreeIndex

__all__ = ["write_maps"]


def write_maps(stream: ObjectStream, index: TreeIndex) -> None:
    """TS_TAPE, then which numbers are in use and which are in this dump: in a
    full one, the same.

    :raises ConnectionBroken: the stream's other end broke off.
    """
    packer, highest = stream.packer, index.highest
    stream.bare(packer.tape)
    for template, numbers in ((packer.clri, index.used), (packer.bits, index.dumped)):
        stream.bare(template, map_records=map_records(highest))
        for record in dense_map(highest) if numbers is None else numbers.records(highest):
            stream.writer.write(record)

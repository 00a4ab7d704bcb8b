"""Makes images of trees in memory, plainly: what the page says, and no more.

A state of a tree is captured with all its objects, and an image is what
leads from one state to the next. The one rule: nothing here is shared with
the engine but the codec.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from crc32c import crc32c

from tapekit_smtape.format_chunks import LONGEST_PAYLOAD, Chunk, ChunkKind, pack_chunk_header
from tapekit_smtape.format_header import CopyRow, ImageHeader, encode_header
from tapekit_smtape.format_records import (
    Attribute,
    CopyBegin,
    CopyEnd,
    Data,
    Entry,
    Gone,
    Hole,
    Object,
    pack_record,
)
from tapekit_trees.comparing import data_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tapekit_smtape.format_records import Record

SET_ID = bytes(range(16))
STAMP_NS = 1_700_000_000_000_000_000
_LONGEST_DATA = 256 * 1024


class Held(NamedTuple):
    """An object of a state."""

    status: os.stat_result
    attributes: tuple[tuple[bytes, bytes], ...]
    target: bytes
    data: tuple[tuple[int, bytes], ...]
    """Offsets and contents of what is no hole."""


class State(NamedTuple):
    """A tree at one moment."""

    root: int
    objects: dict[int, Held]
    names: dict[tuple[int, bytes], int]
    """In an order in which directories come before what is in them."""


def capture(root: Path) -> State:
    """What a tree is now."""
    top = os.lstat(root).st_ino
    state = State(top, {top: _held(os.fsencode(root))}, {})
    waiting = [os.fsencode(root)]
    while waiting:
        folder = waiting.pop(0)
        parent = os.lstat(folder).st_ino
        for name in sorted(os.listdir(folder)):  # noqa: PTH208 - names are bytes
            path = folder + b"/" + name
            number = os.lstat(path).st_ino
            state.names[parent, name] = number
            if number not in state.objects:
                state.objects[number] = _held(path)
                if stat.S_ISDIR(state.objects[number].status.st_mode):
                    waiting.append(path)
    return state


def _held(path: bytes) -> Held:
    status = os.lstat(path)
    names = os.listxattr(path, follow_symlinks=False)
    attributes = tuple(
        (os.fsencode(name), os.getxattr(path, name, follow_symlinks=False)) for name in names
    )
    target = os.readlink(path) if stat.S_ISLNK(status.st_mode) else b""  # noqa: PTH115 - bytes
    data: tuple[tuple[int, bytes], ...] = ()
    if stat.S_ISREG(status.st_mode):
        fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
        data = tuple((start, os.pread(fd, stop - start, start)) for start, stop in data_ranges(fd))
        os.close(fd)
    return Held(status, attributes, target, data)


def changes(before: State | None, after: State) -> Iterator[Record]:
    """The records that make the one state of the other."""
    objects = {} if before is None else before.objects
    names = {} if before is None else before.names
    for (parent, name), number in names.items():
        if after.names.get((parent, name)) != number or _is_other(before, after, number):
            yield Gone(parent, name)
    named: set[tuple[int, bytes]] = set()
    count = 0
    for number, held in after.objects.items():
        is_new = number not in objects or _is_other(before, after, number)
        if not is_new and _looks(objects[number]) == _looks(held):
            continue
        count += 1
        place = (0, b"")
        if is_new and number != after.root:
            place = next(key for key, value in after.names.items() if value == number)
            named.add(place)
        yield from _object(number, held, place, None if is_new else objects[number])
    for place, number in after.names.items():
        has_moved = names.get(place) != number or _is_other(before, after, number)
        if has_moved and place not in named:
            yield Entry(place[0], number, place[1])
    yield CopyEnd(count)


def _looks(held: Held) -> tuple[object, ...]:
    status = held.status
    kept = status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_size
    return (*kept, held.attributes, held.target, held.data)


def _is_other(before: State | None, after: State, number: int) -> bool:
    """Whether a number is another object's than it was."""
    if before is None or number not in before.objects or number not in after.objects:
        return True
    kinds = [
        (stat.S_IFMT(held.status.st_mode), held.status.st_rdev, held.target)
        for held in (before.objects[number], after.objects[number])
    ]
    return kinds[0] != kinds[1]


def _object(
    number: int, held: Held, place: tuple[int, bytes], before: Held | None
) -> Iterator[Record]:
    status = held.status
    yield Object(
        before is None,
        number,
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_rdev,
        status.st_size if stat.S_ISREG(status.st_mode) else 0,
        status.st_atime_ns,
        status.st_mtime_ns,
        place[0],
        place[1],
        held.target,
    )
    for name, value in held.attributes:
        yield Attribute(name, value)
    if before is not None and held.data != before.data and status.st_size:
        yield Hole(0, status.st_size)
    if before is None or held.data != before.data:
        for start, content in held.data:
            for at in range(0, len(content), _LONGEST_DATA):
                yield Data(start + at, memoryview(content)[at : at + _LONGEST_DATA])


class Copy(NamedTuple):
    """A Snapshot copy for an image."""

    name: str
    state: State

    @property
    def row(self) -> CopyRow:
        """What the header says of it."""
        return CopyRow(name=self.name, identifier=f"id-{self.name}", created_at_s=1000)


def make_image(
    base: Copy | None, copies: Sequence[Copy], *, set_id: bytes = SET_ID, payload: int = 64 * 1024
) -> bytes:
    """An image of some copies."""
    header = ImageHeader(
        volume="/vs1/vol1",
        base=None if base is None else base.row.identifier,
        copies=tuple(copy.row for copy in copies),
        root=copies[0].state.root,
    )
    records: list[bytes] = []
    before = None if base is None else base.state
    for index, copy in enumerate(copies):
        records.append(pack_record(CopyBegin(index)))
        records.extend(map(pack_record, changes(before, copy.state)))
        before = copy.state
    return image_of(encode_header(header), records, set_id=set_id, payload=payload)


def image_of(
    header: bytes, records: Sequence[bytes], *, set_id: bytes = SET_ID, payload: int = 64 * 1024
) -> bytes:
    """An image of packed records."""
    payloads = [(ChunkKind.IMAGE_HEADER, header)]
    joined = b""
    for record in records:
        if joined and len(joined) + len(record) > min(payload, LONGEST_PAYLOAD):
            payloads.append((ChunkKind.RECORDS, joined))
            joined = b""
        joined += record
    payloads += [(ChunkKind.RECORDS, joined), (ChunkKind.IMAGE_END, b"")]
    return b"".join(
        chunk_of(kind, content, number, set_id) for number, (kind, content) in enumerate(payloads)
    )


def chunk_of(
    kind: ChunkKind,
    content: bytes,
    number: int,
    set_id: bytes = SET_ID,
    stamp_ns: int = STAMP_NS,
) -> bytes:
    """One chunk."""
    chunk = Chunk(kind, len(content), set_id, stamp_ns, number, crc32c(content))
    return pack_chunk_header(chunk) + content

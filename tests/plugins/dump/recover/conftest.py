"""Dump streams made record by record, and restores of them into a folder."""

from __future__ import annotations

import os
import stat
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.errors import TapekitError
from tapekit.hookspecs.data_engine import FileResult, LogLevel, Selection
from tapekit.hookspecs.environment import Environment
from tapekit.hookspecs.storage import TreeTraits
from tapekit.kernel.memory_state import MemoryStateStore
from tapekit.kernel.volume_jobs import JobRegistry
from tapekit.testing.memory_connection import MemoryRanges, MemorySource
from tapekit.testing.memory_services import MemoryServices
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import CHECKSUM, FIELDS, MAGIC, RECORD_BYTES, HeaderType
from tapekit_dump.recover_job import DEFAULTS, RecoverOptions, prepare
from tapekit_dump.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.state import StateStore
    from tapekit.segments import DataSource

DATE = 1_600_000_000
ROOT = 2
TYPES = {
    stat.S_IFIFO: 1,
    stat.S_IFCHR: 2,
    stat.S_IFDIR: 4,
    stat.S_IFBLK: 6,
    stat.S_IFREG: 8,
    stat.S_IFLNK: 10,
    stat.S_IFSOCK: 12,
}

Names = "Iterable[tuple[bytes, int] | tuple[bytes, int, int]]"


def header_record(order: str = "<", **values: Any) -> bytes:
    """A header with these fields and a checksum that fits."""
    record = bytearray(RECORD_BYTES)
    for each in FIELDS:
        value = values.pop(each.name, b"" if each.code.endswith("s") else 0)
        struct.pack_into(order + each.code, record, each.offset, value)
    for offset, code, value in values.pop("extra", ()):
        struct.pack_into(order + code, record, offset, value)
    assert not values, f"no such fields: {sorted(values)}"
    return sealed(record, order)


def sealed(record: bytes | bytearray, order: str = "<") -> bytes:
    """The record with the checksum that fits it."""
    record = bytearray(record)
    struct.pack_into(f"{order}I", record, 28, 0)
    total = sum(struct.unpack(f"{order}256I", record))
    struct.pack_into(f"{order}I", record, 28, (CHECKSUM - total) & 0xFFFF_FFFF)
    return bytes(record)


def directory_content(
    inode: int, parent: int, names: Names, order: str = "<", *, old_format: bool = False
) -> bytes:
    """Entries in blocks of 512 bytes, each block filled by its last entry."""
    entries = [(b".", inode, 4), (b"..", parent, 4), *((*each, 0)[:3] for each in names)]
    blocks: list[list[tuple[bytes, int, int]]] = [[]]
    used = 0
    for entry in entries:
        length = entry_length(entry[0])
        if used + length > 512:
            blocks.append([])
            used = 0
        blocks[-1].append(entry)
        used += length
    return b"".join(directory_block(block, order, old_format=old_format) for block in blocks)


def entry_length(name: bytes) -> int:
    return (8 + len(name) + 1 + 3) & ~3


def directory_block(
    entries: Sequence[tuple[bytes, int, int]], order: str, *, old_format: bool
) -> bytes:
    out = b""
    for index, (name, inode, kind) in enumerate(entries):
        is_last = index == len(entries) - 1
        length = 512 - len(out) if is_last else entry_length(name)
        if old_format:
            head = struct.pack(f"{order}IHH", inode, length, len(name))
        else:
            head = struct.pack(f"{order}IHBB", inode, length, kind, len(name))
        out += (head + name).ljust(length, b"\0")
    return out


def renumbered(data: bytes, number: Callable[[int], int] = lambda place: place) -> bytes:
    """A little-endian dump with other numbers in its headers, each that of its place."""
    changed = bytearray(data)
    for place, start in enumerate(range(0, len(data), RECORD_BYTES)):
        record = bytearray(data[start : start + RECORD_BYTES])
        if record[24:28] == struct.pack("<I", MAGIC):
            struct.pack_into("<I", record, 16, number(place))
            changed[start : start + RECORD_BYTES] = sealed(record)
    return bytes(changed)


class DumpStream:
    """A dump stream that is made record by record; each method gives it
    back, so that calls chain.
    """

    record = staticmethod(header_record)
    sealed = staticmethod(sealed)
    renumbered = staticmethod(renumbered)
    content = staticmethod(directory_content)

    def __init__(self, order: str = "<", *, new_format: bool = True, **common: Any) -> None:
        self.order = order
        self.new_format = new_format
        self.common = {"date": DATE, "magic": MAGIC, "volume": 1, **common}
        self._data = bytearray()

    @property
    def data(self) -> bytes:
        """All records so far."""
        return bytes(self._data)

    def header(self, kind: int, **values: Any) -> DumpStream:
        values = {"flags": 2 if self.new_format else 0, **self.common, **values}
        number = len(self._data) // RECORD_BYTES
        self._data += header_record(self.order, type=kind, record=number, **values)
        return self

    def raw(self, data: bytes) -> DumpStream:
        self._data += data
        return self

    def records(self, data: bytes) -> DumpStream:
        return self.raw(data.ljust(-(-len(data) // RECORD_BYTES) * RECORD_BYTES, b"\0"))

    def begin(self, highest: int = 100, **values: Any) -> DumpStream:
        """TAPE and both maps."""
        everything = b"\xff" * RECORD_BYTES * -(-highest // (8 * RECORD_BYTES))
        return self.begin_with(everything, everything, **values)

    def begin_with(self, used: bytes, dumped: bytes, **values: Any) -> DumpStream:
        """TAPE and maps."""
        self.header(HeaderType.TAPE, **{"flags": 3 if self.new_format else 1, **values})
        for kind, bitmap in ((HeaderType.CLRI, used), (HeaderType.BITS, dumped)):
            self.header(kind, address_count=len(bitmap) // RECORD_BYTES).raw(bitmap)
        return self

    def object(
        self,
        inode: int,
        mode: int,
        content: bytes = b"",
        *,
        present: bytes | None = None,
        **values: Any,
    ) -> DumpStream:
        """An INODE header and its records; ``present`` is its ``c_addr``."""
        if present is None:
            present = b"\1" * -(-len(content) // RECORD_BYTES)
        assert len(present) <= 512
        values = {"size": len(content), "mode": mode, "links": 1, **values}
        if not self.new_format:
            values = {"low_uid": values.pop("uid", 0), "low_gid": values.pop("gid", 0), **values}
        self.header(
            HeaderType.INODE,
            inode=inode,
            address_count=len(present),
            addresses=present,
            **values,
        )
        return self.records(content)

    def directory(
        self, inode: int, names: Names = (), *, parent: int = ROOT, mode: int = 0o755, **values: Any
    ) -> DumpStream:
        content = directory_content(
            inode, parent, names, self.order, old_format=not self.new_format
        )
        return self.object(inode, stat.S_IFDIR | mode, content, **values)

    def file(
        self, inode: int, content: bytes = b"", mode: int = 0o644, **values: Any
    ) -> DumpStream:
        return self.object(inode, stat.S_IFREG | mode, content, **values)

    def more(self, inode: int, content: bytes, present: bytes, **values: Any) -> DumpStream:
        """An ADDR header and its records."""
        self.header(
            HeaderType.ADDR,
            inode=inode,
            address_count=len(present),
            addresses=present,
            mode=stat.S_IFREG,
            **values,
        )
        return self.records(content)

    def attributes(self, inode: int, blob: bytes, **values: Any) -> DumpStream:
        return self.object(
            inode, stat.S_IFREG, blob, **{"flags": 0x8002, "attribute_kind": 3, **values}
        )

    def end(self) -> bytes:
        """Finish the stream."""
        self.header(HeaderType.END)
        return self.data


class FolderTree:
    def __init__(self, path: str, descriptor: int, traits: TreeTraits) -> None:
        self.path = path
        self.descriptor = descriptor
        self.traits = traits

    def close(self) -> None:
        os.close(self.descriptor)


class FolderStorage:
    """One volume, ``/vs1/vol1``, which is a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.traits = TreeTraits()
        self.opened: list[str] = []

    def open_restore(self, path: str, holder: str) -> FolderTree:
        parts = path.strip("/").split("/")
        if parts[:2] != ["vs1", "vol1"]:
            raise CATALOGUE.error("destination-unusable", path=path, reason="no such volume")
        self.opened.append(path)
        place = self.folder.joinpath(*parts[2:])
        place.mkdir(0o755, parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        return FolderTree(path, descriptor, self.traits)


class MemoryKernel:
    """As much of a kernel as a restore needs."""

    def __init__(self, storage: FolderStorage | None, state: StateStore | None = None) -> None:
        self.storage = storage
        self.state = state or MemoryStateStore()
        self.events: list[Event] = []
        self.volume_jobs = JobRegistry(self.clock)

    def clock(self) -> float:
        return float(DATE)

    def announce(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class Outcome:
    """What came of a restore."""

    folder: Path
    error: TapekitError | None
    messages: list[tuple[LogLevel, str]]
    results: list[tuple[str, FileResult]]
    kernel: MemoryKernel
    ranges: MemoryRanges
    job: Any = field(repr=False)

    def told(self, level: LogLevel = LogLevel.ERROR) -> list[str]:
        return [text for each, text in self.messages if each is level]

    def names(self) -> set[str]:
        """The paths of everything in the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


FILESYSTEM = (("FILESYSTEM", "/vs1/vol1"), ("EXTRACT", "E"))


def restore_into(
    folder: Path,
    data: bytes,
    selections: Sequence[Selection] = (),
    environment: Sequence[tuple[str, str]] = FILESYSTEM,
    *,
    options: RecoverOptions = DEFAULTS,
    sync: bool = False,
    state: StateStore | None = None,
    make: Callable[[int, bytes], DataSource] | None = None,
) -> Outcome:
    """Restore a stream into a folder that stands for ``/vs1/vol1``.

    Without ``sync`` nobody waits for the disk that the folder is on.
    """
    options = options._replace(sync_at_end=sync)
    kernel = MemoryKernel(FolderStorage(folder), state)
    services = MemoryServices()
    ranges = MemoryRanges(data, make or (lambda _, part: MemorySource(part)))
    job = prepare(Environment(VARIABLES, environment), selections, "tests", kernel, options)
    error = None
    try:
        job.run(ranges, services)
    except TapekitError as raised:
        error = raised
    finally:
        job.close()
    return Outcome(folder, error, services.messages, services.results, kernel, ranges, job)


def selection_of(
    original: str, destination: str = "", name: str = "", *, node: int = 0, position: int = 0
) -> Selection:
    return Selection(original, destination, name, "", node, position)


@pytest.fixture(scope="session")
def dump() -> type[DumpStream]:
    """Makes streams: ``dump().begin().directory(2, ...)....end()``."""
    return DumpStream


@pytest.fixture(scope="session")
def select() -> Callable[..., Selection]:
    """Makes an entry of a restore list."""
    return selection_of


@pytest.fixture(scope="session")
def restore_to() -> Callable[..., Outcome]:
    """Restores a stream into any folder."""
    return restore_into


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder to restore into."""
    place = tmp_path / "restored"
    place.mkdir()
    return place


@pytest.fixture
def restore(folder: Path) -> Callable[..., Outcome]:
    """Restores a stream into the folder."""
    return lambda *arguments, **options: restore_into(folder, *arguments, **options)

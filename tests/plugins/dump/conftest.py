"""A stack with the dump engine over plain directories, and what a backup of it gives."""

from __future__ import annotations

import os
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.births import birth_time_ns
from tapekit.hookspecs.data_engine import LogLevel
from tapekit.hookspecs.storage import Origin, TreeTraits
from tapekit.testing import MemoryServices, MemorySink
from tapekit_dump.directories import EntryType, decode_entries
from tapekit_dump.headers import RECORD_BYTES, Header, HeaderType, unpack_header
from tapekit_dump.maps import ROOT, numbers_in
from tapekit_dump.plugin import DumpPlugin
from tapekit_trees.epochs import EpochStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tapekit.hookspecs.data_engine import DataEngine, Pairs
    from tapekit.hookspecs.events import Event
    from tapekit.hookspecs.storage import KeepGoing

VOLUME = "/vs1/vol1"


class DirectoryTree:
    """A directory as the tree of a backup or a restore."""

    def __init__(self, directory: Path, path: str, snapshot_name: str | None, now_s: int) -> None:
        self.descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
        self.volume_path = VOLUME
        self.subpath = path.removeprefix(VOLUME).strip("/")
        self.path = path
        self.snapshot_name = snapshot_name
        self.taken_at_s = now_s
        self.traits = TreeTraits()
        self.is_closed = False

    def origin(self, status: os.stat_result) -> Origin:
        """As if the copy had been made a thousand seconds after each change."""
        return Origin(status.st_ino, status.st_ctime_ns - 1000 * 10**9)

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        """That of the object itself, unless this is a copy."""
        return birth_time_ns(name, directory) if self.snapshot_name is None else None

    def close(self) -> None:
        assert not self.is_closed
        self.is_closed = True
        os.close(self.descriptor)


class DirectoryStorage:
    """The volume ``/vs1/vol1`` is a directory; every tree opened is kept."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.snapshot_name: str | None = None
        self.now_s = 1_700_000_000
        self.trees: list[DirectoryTree] = []

    def _below(self, path: str) -> Path:
        return self.directory / path.removeprefix(VOLUME).strip("/")

    def check_backup(
        self, path: str, *, may_be_file: bool = False, may_be_special: bool = False
    ) -> None:
        """Every path can be tried."""

    def open_backup(
        self, path: str, holder: str, keep_going: KeepGoing, *, may_be_file: bool = False
    ) -> DirectoryTree:
        keep_going()
        tree = DirectoryTree(self._below(path), path, self.snapshot_name, self.now_s)
        self.trees.append(tree)
        return tree

    def open_restore(self, path: str, holder: str) -> DirectoryTree:
        self._below(path).mkdir(parents=True, exist_ok=True)
        tree = DirectoryTree(self._below(path), path, None, self.now_s)
        self.trees.append(tree)
        return tree

    def filesystems(self) -> tuple[()]:
        return ()


class Record(NamedTuple):
    """A header of a stream with the data that follows it."""

    header: Header
    data: bytes
    position: int


class Backup:
    """What came of one backup."""

    def __init__(self, data: bytes, services: MemoryServices, environment: dict[str, str]) -> None:
        self.data = data
        self.services = services
        self.environment = environment

    @cached_property
    def records(self) -> list[Record]:
        """The stream, header by header."""
        return list(self._records())

    @cached_property
    def _by_number(self) -> dict[int, list[Record]]:
        found: dict[int, list[Record]] = {}
        for record in self.records:
            if record.header.type in {HeaderType.INODE, HeaderType.ADDR}:
                found.setdefault(record.header.inode, []).append(record)
        return found

    def _records(self) -> Iterator[Record]:
        at, end_of_dump = 0, int(self.environment.get("OFFSET_MAP_START", len(self.data)))
        while at < end_of_dump:
            header = unpack_header(self.data[at : at + RECORD_BYTES])
            end = at + RECORD_BYTES * (1 + header.data_records)
            yield Record(header, self.data[at + RECORD_BYTES : end], at)
            at = end

    def objects(self, number: int) -> list[Record]:
        """The records of one object, its attributes included."""
        return self._by_number[number]

    @cached_property
    def paths(self) -> dict[bytes, int]:
        """The number of each path, as the directories in the stream say."""
        contents: dict[int, bytes] = {}
        for header, data, _ in self.records:
            if header.type in {HeaderType.INODE, HeaderType.ADDR} and not header.has_attributes:
                contents[header.inode] = (contents.get(header.inode, b"") + data)[: header.size]
        found: dict[bytes, int] = {b"": ROOT}
        pending = [(b"", ROOT)]
        while pending:
            path, directory = pending.pop()
            for entry in list(decode_entries(contents[directory]))[2:]:
                below = path + b"/" + entry.name if path else entry.name
                found[below] = entry.inode
                if entry.kind == EntryType.DIRECTORY and entry.inode in contents:
                    pending.append((below, entry.inode))
        return found

    @cached_property
    def dumped(self) -> set[bytes]:
        """The paths of what the stream has a record for."""
        return {path for path, number in self.paths.items() if number in self._by_number}

    def map(self, kind: HeaderType) -> set[int]:
        """The numbers in a map."""
        (record,) = (record for record in self.records if record.header.type == kind)
        return set(numbers_in(record.data))

    def content(self, path: bytes) -> bytes:
        """What a file's records hold, holes as zeros."""
        number, content, size = self.paths[path], bytearray(), 0
        for header, data, _ in self.objects(number):
            if not header.has_attributes:
                size, rest = header.size, memoryview(data)
                for flag in header.present:
                    content += rest[:RECORD_BYTES] if flag else bytes(RECORD_BYTES)
                    rest = rest[RECORD_BYTES * flag :]
        return bytes(content[:size])

    def header(self, path: bytes) -> Header:
        """The first header of what has this path."""
        return self.objects(self.paths[path])[0].header

    @property
    def warnings(self) -> list[str]:
        return [text for level, text in self.services.messages if level is LogLevel.WARNING]


class Site(NamedTuple):
    """A running engine and what it works on."""

    engine: DataEngine
    storage: DirectoryStorage
    volume: Path
    events: list[Event]
    at_phase: dict[str, Callable[[], object]]
    """What happens to the tree when a phase starts."""

    def back_up(
        self,
        *variables: tuple[str, str],
        wants_history: bool = False,
        wants_paths: bool = False,
        sink: MemorySink | None = None,
    ) -> Backup:
        """Back the volume up, or what FILESYSTEM says."""
        services = MemoryServices(wants_history=wants_history, wants_paths=wants_paths)
        sink = sink or MemorySink()
        pairs: Pairs = (("FILESYSTEM", VOLUME), *variables)
        with closing(self.engine.prepare_backup(pairs, "a test")) as job:
            job.run(sink, services)
            assert sink.is_finished
            return Backup(sink.data, services, dict(job.environment()))


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The directory of the volume, empty."""
    directory = tmp_path / "volume"
    directory.mkdir()
    return directory


@pytest.fixture
def make_site(
    assembled: Callable[..., Any], plugin: Callable[..., Any], volume: Path
) -> Callable[..., Site]:
    """Makes a site; ``tables`` is the stack file's ``[dump]`` table, others
    are plugins beside.
    """

    def make(tables: str = "", *others: type, storage: Any = None) -> Site:
        storage, events = storage or DirectoryStorage(volume), list[Any]()
        at_phase: dict[str, Callable[[], object]] = {}

        def hear(event: Event) -> None:
            events.append(event)
            if event.name == "dump.phase-started":
                at_phase.get(str(event.facts["phase"]), int)()

        directories = plugin(
            "directories",
            tapekit_provide_storage=lambda self: storage,
            tapekit_on_event=lambda self, event: hear(event),
        )
        kernel = assembled(DumpPlugin, directories, *others, tables=tables)
        return Site(kernel.engines["dump"], storage, volume, events, at_phase)

    return make


@pytest.fixture
def epochs(make_site: Callable[..., Site], volume: Path) -> Site:
    """A site whose volume has an epoch of its own after each backup."""
    return make_site(storage=EpochStorage(volume))


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site with the settings as they are."""
    return make_site()

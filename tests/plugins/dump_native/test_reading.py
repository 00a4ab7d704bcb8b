"""The loop in C gives the bytes of the one in Python, and stops where it does."""

from __future__ import annotations

import os
import shutil
import tempfile
from array import array
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.data_engine import NodeTable
from tapekit.segments import BUFFER_BYTES
from tapekit.streams import StreamWriter
from tapekit.testing import MemorySink
from tapekit_dump.backup_stream import STATUS_CTIME
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import DumpLabel
from tapekit_dump.small_files import PlainReading, ReadingSite, Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.hookspecs.data_engine import NodeEntry
    from tapekit_dump.small_files import SmallFileReading
    from tapekit_dump_native.loops import NativeLoops

    Begin = Callable[..., SmallFileReading]

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOATIME
SMALL = 256 * 1024
LABEL = DumpLabel(
    date=1_700_000_000,
    level=0,
    filesystem=b"/vs1/vol1",
    device_name=b"/vs1/vol1",
    host=b"node1",
    records_per_block=10,
)


class Read(NamedTuple):
    """What became of a directory."""

    stream: bytes
    nodes: list[NodeEntry]
    stops: list[tuple[Stop, int]]


def read(begin: Begin, directory: Path, names: Sequence[bytes], *, history: bool = True) -> Read:
    """Read a directory, as the engine does, but pass over what is unusual."""
    sink = MemorySink()
    writer = StreamWriter(sink)
    writer.write(bytes(7 * 1024))
    nodes = array("q")
    site = ReadingSite(
        writer=writer,
        template=HeaderPacker(LABEL).inode,
        nodes=nodes if history else None,
        small=SMALL,
        ctime_of=STATUS_CTIME,
    )
    stops: list[tuple[Stop, int]] = []
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        reading = begin(
            site, opened, names, range(1000, 1000 + len(names)), flags=FLAGS, with_attributes=True
        )
        while (stop := reading.append()) is not Stop.DONE:
            stops.append((stop, reading.taken))
            if stop is Stop.FULL:
                writer.turn()
            elif stop is Stop.UNUSUAL:
                reading.skip()
            else:
                os.close(reading.descriptor)
        stops.append((stop, reading.taken))
    finally:
        os.close(opened)
    writer.finish()
    return Read(sink.data, list(NodeTable(nodes)), stops)


@contextmanager
def scratch() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp())
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


SIZES = st.one_of(st.integers(0, 5000), st.sampled_from([SMALL, SMALL + 1, BUFFER_BYTES // 4]))
TIMES = st.integers(0, 2**32 - 1)


@given(files=st.lists(st.tuples(SIZES, st.integers(0, 0o7777), TIMES, TIMES), max_size=30))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_files_give_the_same_bytes(
    loops: NativeLoops, files: list[tuple[int, int, int, int]]
) -> None:
    with scratch() as directory:
        for number, (size, mode, atime, mtime) in enumerate(files):
            file = directory / str(number)
            file.write_bytes(os.urandom(size))
            file.chmod(mode | 0o400)
            os.utime(file, ns=(atime * 10**9 + number * 1000, mtime * 10**9 + 999_999_999))
        names = [b"%d" % number for number in range(len(files))]
        for history in (False, True):
            plain = read(PlainReading, directory, names, history=history)
            assert read(loops.reading, directory, names, history=history) == plain
        assert len(plain.nodes) == sum(size <= SMALL for size, *_ in files)


def test_a_full_buffer_stops_it_with_nothing_lost(loops: NativeLoops, tmp_path: Path) -> None:
    names = [b"%03d" % number for number in range(300)]
    for name in names:
        (tmp_path / name.decode()).write_bytes(name * 4000)
    native = read(loops.reading, tmp_path, names)
    assert [stop for stop, _ in native.stops].count(Stop.FULL) >= 3
    assert native == read(PlainReading, tmp_path, names)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def make_sparse(directory: Path) -> None:
    (directory / "x").touch()
    os.truncate(directory / "x", 100_000)


def make_directory(directory: Path) -> None:
    (directory / "x").mkdir()


def make_link(directory: Path) -> None:
    (directory / "x").symlink_to("a")


def make_fifo(directory: Path) -> None:
    os.mkfifo(directory / "x")


def make_old(directory: Path) -> None:
    (directory / "x").touch()
    os.utime(directory / "x", (-1, -1))


def make_nothing(directory: Path) -> None:
    assert not (directory / "x").exists()


@pytest.mark.parametrize("make", [make_sparse, make_directory, make_link, make_fifo, make_nothing])
def test_what_is_unusual_stops_both(
    loops: NativeLoops, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    for name in "ab":
        (tmp_path / name).write_bytes(b"content")
    make(tmp_path)
    native = read(loops.reading, tmp_path, [b"a", b"x", b"b"])
    assert native.stops == [(Stop.UNUSUAL, 1), (Stop.DONE, 3)]
    assert native == read(PlainReading, tmp_path, [b"a", b"x", b"b"])


def test_times_that_a_header_lacks_are_left_to_the_engine(
    loops: NativeLoops, tmp_path: Path
) -> None:
    make_old(tmp_path)
    assert read(loops.reading, tmp_path, [b"x"]).stops == [(Stop.UNUSUAL, 0), (Stop.DONE, 1)]


def test_attributes_leave_the_file_open(loops: NativeLoops, tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_bytes(b"content")
    try:
        os.setxattr(tmp_path / "b", "user.mark", b"1")
    except OSError:
        pytest.skip("the file system has no extended attributes")
    native = read(loops.reading, tmp_path, [b"a", b"b", b"c"])
    assert native.stops == [(Stop.ATTRIBUTES, 2), (Stop.DONE, 3)]
    assert native == read(PlainReading, tmp_path, [b"a", b"b", b"c"])


def test_a_block_of_attributes_hides_no_hole(loops: NativeLoops, tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.write(b"d" * 4096)
        file.truncate(4096 + 395)
    try:
        # Too long for the inode.
        os.setxattr(tmp_path / "x", "user.mark", b"m" * 1000)
    except OSError:
        pytest.skip("the file system has no long extended attributes")
    native = read(loops.reading, tmp_path, [b"x"])
    assert native.stops == [(Stop.UNUSUAL, 0), (Stop.DONE, 1)]
    assert native == read(PlainReading, tmp_path, [b"x"])


@pytest.mark.parametrize("kind", ["plain", "native"])
def test_no_descriptor_is_left(loops: NativeLoops, tmp_path: Path, kind: str) -> None:
    make_sparse(tmp_path)
    (tmp_path / "a").write_bytes(b"content")
    begin: Begin = PlainReading if kind == "plain" else loops.reading
    before = open_descriptors()
    read(begin, tmp_path, [b"a", b"x", b"gone"])
    assert open_descriptors() == before

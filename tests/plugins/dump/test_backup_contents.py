"""Large files and files with holes, also when they change or fail."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tapekit.hookspecs.data_engine import LogLevel
from tapekit.segments import ConnectionBroken, Extent
from tapekit.streams import StreamWriter
from tapekit.testing import FailingSink, MemoryServices, MemorySink
from tapekit_dump.backup_contents import ContentWriter, may_have_holes, read_fully
from tapekit_dump.backup_report import BackupReport
from tapekit_dump.backup_stream import ObjectStream
from tapekit_dump.header_packing import HeaderPacker
from tapekit_dump.headers import RECORD_BYTES, DumpLabel, HeaderType, Inode, unpack_header

if TYPE_CHECKING:
    from tapekit.segments import Batch

PACKER = HeaderPacker(DumpLabel(1_700_000_000, 0, b"/vs1/vol1", b"", b"node"))
MIB = 1 << 20


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class PieceSink(MemorySink):
    """Also keeps how the stream was cut."""

    def __init__(self) -> None:
        super().__init__()
        self.extents: list[tuple[int, int]] = []

    def put(self, batch: Batch) -> None:
        self.extents += [(p.offset, p.length) for p in batch.pieces if isinstance(p, Extent)]
        super().put(batch)


class Writing:
    """A content writer with all around it."""

    def __init__(self, sink: MemorySink | None = None, extent_bytes: int = 256 * 1024) -> None:
        self.sink = sink or PieceSink()
        self.services = MemoryServices()
        self.report = BackupReport(self.services, verbose=False, debug=False)
        self.stream = ObjectStream(StreamWriter(self.sink), PACKER, None)
        self.contents = ContentWriter(self.stream, self.report, extent_bytes)

    def write(self, path: Path, flags: int = os.O_RDONLY) -> None:
        fd = os.open(path, flags)
        status = os.fstat(fd)
        self.contents.write(fd, 7, Inode.of(status, 0), status, os.fsencode(path.name))

    def finished(self) -> tuple[bytes, list[int]]:
        """The content with holes as zeros, and which records were sent."""
        self.stream.writer.finish()
        data, at, content, sent, size = self.sink.data, 0, bytearray(), [], 0
        while at < len(data):
            header = unpack_header(data[at : at + RECORD_BYTES])
            assert header.type == (HeaderType.ADDR if at else HeaderType.INODE)
            assert (header.inode, header.record) == (7, at // RECORD_BYTES)
            at, size = at + RECORD_BYTES, header.size
            for flag in header.present:
                if flag:
                    sent.append(len(content) // RECORD_BYTES)
                content += data[at : at + RECORD_BYTES] if flag else bytes(RECORD_BYTES)
                at += RECORD_BYTES * flag
        assert content[size:] == bytes(len(content) - size)
        return bytes(content[:size]), sent

    @property
    def warnings(self) -> list[str]:
        return [text for level, text in self.services.messages if level is LogLevel.WARNING]


def some_bytes(count: int) -> bytes:
    return (b"".join(b"%07d\n" % n for n in range(count // 8 + 1)))[:count]


@pytest.mark.parametrize("extent_bytes", [4096, 256 * 1024, 512 * 1024])
@pytest.mark.parametrize(
    "size", [0, 1, 1024, 256 * 1024, 512 * 1024, 512 * 1024 + 1, 3 * MIB + 12345]
)
def test_file_without_holes_is_whole(tmp_path: Path, size: int, extent_bytes: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(size))
    before = open_descriptors()
    writing = Writing(extent_bytes=extent_bytes)
    writing.write(file)
    content, sent = writing.finished()
    assert content == some_bytes(size)
    assert sent == list(range(-(-size // RECORD_BYTES)))
    assert writing.warnings == []
    assert open_descriptors() == before


def test_long_runs_leave_as_extents_and_short_ones_are_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(1_100_000))
    sink = PieceSink()
    writing = Writing(sink)
    writing.write(file)
    assert writing.finished()[0] == some_bytes(1_100_000)
    assert sink.extents == [(0, 524_288), (524_288, 524_288)]


@pytest.mark.parametrize("extent_bytes", [4096, 512 * 1024])
def test_holes_stay_holes(tmp_path: Path, extent_bytes: int) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, 5 * MIB + 100)
    expected = bytearray(5 * MIB + 100)
    with file.open("r+b") as opened:
        for at, count in ((MIB, 70_000), (3 * MIB + 8192, 600_000), (5 * MIB + 50, 50)):
            opened.seek(at)
            opened.write(some_bytes(count))
            expected[at : at + count] = some_bytes(count)
    with file.open("rb") as opened:
        assert may_have_holes(opened.fileno(), file.stat())
    writing = Writing(extent_bytes=extent_bytes)
    writing.write(file)
    content, sent = writing.finished()
    assert content == expected
    assert len(sent) < 800


def test_file_that_is_one_hole_is_headers_only(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, 5 * MIB)
    writing = Writing()
    writing.write(file)
    assert writing.finished() == (bytes(5 * MIB), [])
    assert len(writing.sink.data) == 10 * RECORD_BYTES


def test_file_that_shrank_is_filled_up_to_its_size(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(300_000))
    writing = Writing(extent_bytes=512 * 1024)
    fd = os.open(file, os.O_RDONLY)
    status = os.fstat(fd)
    os.truncate(file, 100_000)
    writing.contents.write(fd, 7, Inode.of(status, 0), status, b"dir/file")
    content, _ = writing.finished()
    assert content == some_bytes(100_000) + bytes(200_000)
    assert writing.warnings == [
        "dir/file: became shorter while it was read; the missing part is zeros in the backup"
    ]
    assert writing.report.losses == 1


def test_file_that_grew_is_cut_at_its_size(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(700_001))
    for extent_bytes in (4096, 512 * 1024):
        writing = Writing(extent_bytes=extent_bytes)
        fd = os.open(file, os.O_RDONLY)
        status = os.fstat(fd)
        with file.open("ab") as opened:
            opened.write(b"more" * 100_000)
        writing.contents.write(fd, 7, Inode.of(status, 0), status, b"file")
        assert writing.finished()[0] == some_bytes(700_001)
        assert writing.warnings == []
        os.truncate(file, 700_001)


@pytest.mark.parametrize("has_holes", [False, True])
def test_content_that_cannot_be_read_is_zeros_and_told_once(
    tmp_path: Path, has_holes: bool
) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(900_000))
    if has_holes:
        os.truncate(file, 2_000_000)
    writing = Writing(extent_bytes=4 * MIB)
    # Reading a descriptor that only writes fails as a bad disk does.
    writing.write(file, os.O_WRONLY)
    content, _ = writing.finished()
    assert content == bytes(file.stat().st_size)
    assert writing.warnings == [
        (
            "file: part of the file cannot be read (Bad file descriptor);"
            " that part is zeros in the backup"
        )
    ]
    assert writing.report.losses == 1


def test_file_that_cannot_be_searched_ends_in_a_hole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, 2 * MIB)
    status = file.stat()
    writing = Writing()
    # A pipe cannot be positioned, so nothing can be found in it.
    read_end, write_end = os.pipe()
    os.close(write_end)
    writing.contents.write(read_end, 7, Inode.of(status, 0), status, b"file")
    content, sent = writing.finished()
    assert (content, sent) == (bytes(2 * MIB), [])
    assert "cannot be read (Illegal seek)" in writing.warnings[0]
    assert len(writing.warnings) == 1


def test_broken_stream_closes_the_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(some_bytes(20 * MIB))
    before = open_descriptors()
    writing = Writing(FailingSink(MIB))
    with pytest.raises(ConnectionBroken):
        writing.write(file)
    writing.stream.writer.abandon()
    assert open_descriptors() == before


def test_reading_goes_on_after_a_short_read() -> None:
    fd = os.memfd_create("content")
    os.write(fd, some_bytes(10_000))
    into = memoryview(bytearray(10_000))
    assert read_fully(fd, into[:9000], 1000) == 9000
    assert into[:9000] == some_bytes(10_000)[1000:]
    assert read_fully(fd, into, 4000) == 6000
    assert read_fully(fd, into, 20_000) == 0
    os.close(fd)


@pytest.mark.parametrize("size", [MIB, 20 * MIB])
def test_a_large_file_that_cannot_be_read_is_told_and_has_zeros(tmp_path: Path, size: int) -> None:
    writing = Writing()
    # Reading this process's memory at 0 fails as a bad block of a disk does.
    fd = os.open("/proc/self/mem", os.O_RDONLY)
    (tmp_path / "broken").write_bytes(b"b" * size)
    status = (tmp_path / "broken").stat()
    writing.contents.write(fd, 7, Inode.of(status, 0), status, b"broken")
    writing.contents.settle()
    # It also has no size, which is told first.
    _, (level, text) = writing.services.messages
    assert level is LogLevel.WARNING
    assert text.startswith("broken: part of the file cannot be read (Input/output error)")
    assert writing.sink.data.count(0) > size * 0.99


class FailingReader(PieceSink):
    """Cannot read the extents that it gets."""

    def put(self, batch: Batch) -> None:
        for piece in batch.pieces:
            if isinstance(piece, Extent) and piece.lost is not None:
                piece.lost(piece.offset, piece.length, OSError(errno.EIO, "broken"))
        super().put(batch)


def test_what_a_reader_could_not_read_is_told_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)
    writing = Writing(FailingReader())
    for _ in range(2):
        writing.write(path)
        writing.stream.writer.turn()
    assert writing.warnings == []
    writing.contents.tell()
    assert [text.count("broken") for text in writing.warnings] == [1, 1]
    writing.contents.settle()
    assert len(writing.warnings) == 2
    assert writing.report.losses == 2

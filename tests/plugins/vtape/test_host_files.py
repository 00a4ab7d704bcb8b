"""Pieces are written end to end from memory and files, and errors are told apart."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.segments import Extent
from tapekit.testing import bytes_of
from tapekit_vtape.host_files import HostFile, open_host_file, sync_directory, write_pieces

SOURCE = bytes(number % 253 for number in range(3000))


@given(
    parts=st.lists(
        st.tuples(st.booleans(), st.integers(0, 2999), st.integers(0, 1500)), max_size=40
    ),
    scratch=st.integers(1, 700),
    offset=st.integers(0, 50),
)
def test_pieces_are_written_end_to_end(
    parts: list[tuple[bool, int, int]], scratch: int, offset: int
) -> None:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(SOURCE)
        source.flush()
        pieces = [
            Extent(source.fileno(), start, length)
            if is_extent
            else memoryview(SOURCE)[start : start + length]
            for is_extent, start, length in parts
        ]
        file = HostFile(Path("target"), target.fileno())
        write_pieces(file, pieces, offset, memoryview(bytearray(scratch)))
        expected = bytes_of(pieces)
        assert file.read(len(expected) + 9, offset) == expected
        assert file.size() == (offset + len(expected) if expected else 0)


def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    file = open_host_file(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    pieces = [memoryview(b"%04d" % number) for number in range(3000)]
    write_pieces(file, pieces, 0, memoryview(bytearray(10)))
    assert file.read(12000, 0) == b"".join(pieces)
    file.close()


def test_new_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    open_host_file(tmp_path / "f", os.O_RDWR | os.O_CREAT).close()
    assert (tmp_path / "f").stat().st_mode & 0o077 == 0


def test_a_full_host_is_a_medium_error_that_names_the_file() -> None:
    full = open_host_file(Path("/dev/full"), os.O_RDWR)
    with pytest.raises(TapeError) as caught:
        write_pieces(full, [memoryview(b"x" * 9000)], 0, memoryview(bytearray(10)))
    full.close()
    assert caught.value.condition is Condition.MEDIUM_ERROR
    assert str(caught.value) == "/dev/full: No space left on device"


def test_a_source_that_cannot_be_read_is_no_medium_error(tmp_path: Path) -> None:
    file = open_host_file(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        write_pieces(file, [Extent(folder, 0, 10)], 0, memoryview(bytearray(10)))
    os.close(folder)
    file.close()


@pytest.mark.parametrize("work", ["size", "truncate", "sync", "read", "write"])
def test_every_call_tells_the_host_s_refusal(tmp_path: Path, work: str) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    file = HostFile(tmp_path / "gone", reading)
    calls = {
        "size": lambda: HostFile(tmp_path / "gone", 10**6).size(),
        "truncate": lambda: file.truncate(1),
        "sync": file.sync,
        "read": lambda: file.read(1, 0),
        "write": lambda: file.write([b"x"], 0),
    }
    with pytest.raises(TapeError, match="gone: "):
        calls[work]()
    file.close()


def test_a_folder_that_is_gone_cannot_be_synced(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="No such file"):
        sync_directory(tmp_path / "gone")

"""The bytes of images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tapekit.segments import Extent
from tapekit.streams import EndOfStream, StreamReader
from tapekit_dump.image_source import ImageSource, open_image

if TYPE_CHECKING:
    from pathlib import Path


def nothing_unreadable(offset: int, length: int, error: OSError) -> None:
    raise AssertionError((offset, length, error))


def test_a_file_is_given_unread_in_batches(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"begin")
    os.truncate(path, 20 << 20)
    with open_image(str(path), nothing_unreadable) as source:
        moved: list[int] = []
        source.moved = moved.append
        lengths = []
        while (batch := source.get()) is not None:
            assert all(isinstance(piece, Extent) for piece in batch.pieces)
            lengths.append(batch.length)
        assert (source.length, source.position, sum(lengths)) == (20 << 20, 20 << 20, 20 << 20)
        assert moved == [0, 8 << 20, 16 << 20, 20 << 20]


def test_an_image_begins_where_the_descriptor_stands(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"before" + b"x" * 5000)
    with path.open("rb", buffering=0) as file:
        file.seek(6)
        source = ImageSource(file.fileno(), nothing_unreadable)
        assert source.beginning == b"x" * 1024
        reader = StreamReader(source)
        assert bytes(reader.take(5000)) == b"x" * 5000
        with pytest.raises(EndOfStream):
            reader.take(1)


def test_a_pipe_is_read_as_it_comes() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"12345")
    with os.fdopen(reading, "rb"):
        source = ImageSource(reading, nothing_unreadable)
        assert (source.beginning, source.length) == (b"12345", None)
        os.write(writing, b"678")
        os.close(writing)
        reader = StreamReader(source)
        assert bytes(reader.take(8)) == b"12345678"
        assert source.get() is None


def test_what_a_disk_cannot_read_is_told_by_its_place_in_the_image(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"before" + b"x" * 5000)
    told: list[Any] = []
    with path.open("rb", buffering=0) as file:
        file.seek(6)
        source = ImageSource(file.fileno(), lambda *about: told.append(about))
        batch = source.get()
        assert batch is not None
        (extent,) = batch.pieces
        assert isinstance(extent, Extent)
        assert extent.lost is not None
        error = OSError(5, "Input/output error")
        extent.lost(extent.offset + 1024, 100, error)
    assert told == [(1024, 100, error)]


def test_a_directory_is_no_image(tapekit_dump: Any, tmp_path: Path) -> None:
    outcome = tapekit_dump("list", str(tmp_path))
    assert outcome.status == 1
    assert f"{tmp_path} cannot be read: Is a directory" in outcome.err

"""Records come out of pieces whole, wherever the pieces end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.scsi_devices.record_bytes import records_of
from tapekit.segments import Extent

if TYPE_CHECKING:
    from pathlib import Path


@given(st.binary(min_size=1, max_size=200), st.integers(1, 20), st.data())
def test_records_are_cut_from_views(data: bytes, size: int, draw: st.DataObject) -> None:
    data = data[: len(data) - len(data) % size]
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=5)))
    pieces = [
        memoryview(data)[start:stop]
        for start, stop in zip([0, *cuts], [*cuts, len(data)], strict=True)
    ]
    assert list(records_of(pieces, size)) == [
        data[start : start + size] for start in range(0, len(data), size)
    ]


def test_what_a_file_lacks_is_zeros(tmp_path: Path) -> None:
    path = tmp_path / "short"
    path.write_bytes(b"abcdef")
    with path.open("rb") as file:
        pieces = (memoryview(b"12"), Extent(file.fileno(), 2, 6))
        assert list(records_of(pieces, 4)) == [b"12cd", b"ef\0\0"]


def test_a_part_of_a_record_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="5 bytes are no whole records of 4"):
        list(records_of([memoryview(b"12345")], 4))

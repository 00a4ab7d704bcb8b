from __future__ import annotations

import gc
import io
import os
import struct
import tempfile
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.hookspecs.storage import Origin
from tapekit_snap_copy.origins import OriginsDamaged, OriginsFile, OriginsWriter

if TYPE_CHECKING:
    from collections.abc import Mapping

INODES = st.integers(0, 2**64 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
BIRTHS = st.none() | st.integers(-(2**63) + 1, 2**63 - 1)
RECORDS = st.dictionaries(INODES, st.tuples(INODES, TIMES, BIRTHS), max_size=60)
Records: TypeAlias = "Mapping[int, tuple[int, int, int | None]]"


def written(records: Records, run_records: int) -> bytes:
    made = io.BytesIO()
    with tempfile.TemporaryFile() as scratch:
        writer = OriginsWriter(scratch, run_records)
        for copy_inode, origin in records.items():
            writer.add(copy_inode, *origin)
        writer.write(made)
    return made.getvalue()


def opened(content: bytes) -> OriginsFile:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return OriginsFile(os.dup(file.fileno()))


@given(RECORDS, st.integers(1, 20))
def test_every_record_is_found_in_whatever_order_it_came(
    records: Records, run_records: int
) -> None:
    origins = opened(written(records, run_records))
    for copy_inode, (inode, ctime_ns, birth_ns) in records.items():
        assert origins.find(copy_inode) == Origin(inode, ctime_ns)
        assert origins.birth_ns(copy_inode) == birth_ns


@given(RECORDS, INODES)
def test_an_unknown_number_is_not_found(
    records: dict[int, tuple[int, int, int | None]], inode: int
) -> None:
    records.pop(inode, None)
    origins = opened(written(records, 7))
    assert origins.find(inode) is None
    assert origins.birth_ns(inode) is None


def test_more_records_than_a_block_are_found() -> None:
    records = {inode * 3: (inode, -inode, None) for inode in range(5000, 0, -1)}
    origins = opened(written(records, 1000))
    assert [origins.find(inode) for inode in (3, 1536, 1539, 7500, 15000)] == [
        Origin(1, -1),
        Origin(512, -512),
        Origin(513, -513),
        Origin(2500, -2500),
        Origin(5000, -5000),
    ]
    assert origins.find(15001) is None
    assert origins.find(1) is None


@given(st.data())
def test_a_cut_or_longer_file_is_refused(data: st.DataObject) -> None:
    content = written({1: (2, 3, None), 4: (5, 6, 7)}, 10)
    cut = data.draw(st.integers(0, len(content) - 1))
    with pytest.raises(OriginsDamaged, match=r"it (ends|has)"):
        opened(content[:cut])
    with pytest.raises(OriginsDamaged, match="instead of"):
        opened(content + bytes(cut + 1))


def test_lists_without_times_of_birth_are_read() -> None:
    """A list of the first version, whose records have three numbers."""
    records = {inode * 2: (inode, -inode) for inode in range(1, 700)}
    columns = [
        (keys, [records[key][0] for key in keys], [records[key][1] for key in keys])
        for keys in (sorted(records)[:512], sorted(records)[512:])
    ]
    content = b"TKORIGN1" + struct.pack(">Q", len(records))
    for keys, inodes, ctimes_ns in columns:
        content += struct.pack(f">{len(keys)}Q{len(keys)}Q{len(keys)}q", *keys, *inodes, *ctimes_ns)
    content += struct.pack(">2Q", *(keys[0] for keys, *_ in columns))
    origins = opened(content)
    for inode, origin in records.items():
        assert origins.find(inode) == Origin(*origin)
        assert origins.birth_ns(inode) is None


def test_another_format_is_refused() -> None:
    with pytest.raises(OriginsDamaged, match="instead of b'TKORIGN2'"):
        opened(b"TKORIGN3" + written({}, 1)[8:])


def test_descriptor_is_closed_with_its_last_user() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    with tempfile.TemporaryFile() as file:
        file.write(written({1: (2, 3, 4)}, 1))
        file.flush()
        os.dup2(file.fileno(), reader)
    origins = OriginsFile(reader)
    assert origins.find(1) == Origin(2, 3)
    gc.disable()
    try:
        del origins
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(reader)
    finally:
        gc.enable()

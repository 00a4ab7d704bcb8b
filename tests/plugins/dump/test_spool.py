"""Spools against plain bytes, in memory and in their file."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_dump.spool import Pending, PendingStack, SpoolRoom

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.binary(max_size=300)),
        st.tuples(st.just("patch"), st.integers(0, 400), st.binary(max_size=40)),
        st.tuples(st.just("cut"), st.integers(0, 400)),
        st.tuples(st.just("read"), st.integers(0, 400), st.integers(0, 400)),
    ),
    max_size=40,
)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def room(memory_bytes: int = 100) -> SpoolRoom:
    return SpoolRoom(None, memory_bytes)


@given(STEPS, st.integers(0, 500))
def test_spool_is_as_plain_bytes(steps: list[tuple[object, ...]], memory_bytes: int) -> None:
    plain = bytearray()
    with closing(room(memory_bytes).spool()) as spool:
        for step in steps:
            match step:
                case ("append", bytes(data)):
                    assert spool.append(data) == len(plain)
                    plain += data
                case ("patch", int(offset), bytes(data)) if offset + len(data) <= len(plain):
                    spool.patch(offset, data)
                    plain[offset : offset + len(data)] = data
                case ("cut", int(length)) if length <= len(plain):
                    spool.cut(length)
                    del plain[length:]
                case ("read", int(offset), int(count)) if offset <= len(plain):
                    assert spool.read(offset, count) == plain[offset : offset + count]
            assert spool.length == len(plain)
        assert spool.read(0, len(plain)) == plain


def test_small_spool_opens_no_file() -> None:
    before = open_descriptors()
    with closing(room(1000).spool()) as spool:
        spool.append(bytes(1000))
        assert open_descriptors() == before


def test_file_of_a_spool_has_no_name_and_is_closed(tmp_path: Path) -> None:
    before = open_descriptors()
    spool = SpoolRoom(tmp_path, 10).spool()
    spool.append(b"more than ten bytes")
    assert open_descriptors() == before + 1
    assert list(tmp_path.iterdir()) == []
    spool.close()
    spool.close()
    assert open_descriptors() == before


def test_missing_folder_is_named(tmp_path: Path) -> None:
    spool = SpoolRoom(tmp_path / "missing", 10).spool()
    with pytest.raises(TapekitError, match=r"missing cannot be used: No such file") as failed:
        spool.append(bytes(11))
    assert failed.value.id == "dump.spool-failed"


def test_full_file_system_is_told() -> None:
    spool = room(10).spool()
    spool.append(bytes(11))
    # Every write to this device fails as on a full disk.
    full = os.open("/dev/full", os.O_RDWR)
    os.dup2(full, spool._fd)
    os.close(full)
    with pytest.raises(TapekitError, match="No space left on device"):
        spool.patch(0, b"x")
    spool.close()


def test_file_that_somebody_cut_is_told() -> None:
    with closing(room(10).spool()) as spool:
        spool.append(bytes(11))
        os.ftruncate(spool._fd, 3)
        with pytest.raises(TapekitError, match="Input/output error"):
            spool.read(0, 11)


def test_pending_directories_come_last_in_first_out_in_any_number() -> None:
    with closing(PendingStack(room())) as stack:
        items = [Pending(n % 7, n, n // 2, b"name %d" % n) for n in range(50_000)]
        for item in items[:30_000]:
            stack.push(item)
        for item in reversed(items[20_000:30_000]):
            assert stack.pop() == item
        for item in items[20_000:]:
            stack.push(item)
        assert len(stack._top) < 20_000
        for item in reversed(items):
            assert stack
            assert stack.pop() == item
        assert not stack
        with pytest.raises(IndexError):
            stack.pop()

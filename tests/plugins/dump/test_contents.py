"""Runs of data and spans, against files that were made with known holes."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tapekit_dump.contents import data_runs, spans
from tapekit_dump.headers import RECORD_BYTES, RUNS, SPAN_BYTES, Run

if TYPE_CHECKING:
    from pathlib import Path

KIB = RECORD_BYTES


def rounded(size: int) -> int:
    return -(-size // KIB) * KIB


RUN_LISTS = st.lists(st.integers(1, 900), max_size=12).map(
    lambda lengths: [
        (sum(lengths[:at]) * KIB, sum(lengths[: at + 1]) * KIB) for at in range(1, len(lengths), 2)
    ]
)


@given(RUN_LISTS, st.integers(0, 3_000_000))
def test_spans_cover_the_runs_and_nothing_else(runs: list[tuple[int, int]], more: int) -> None:
    size = (runs[-1][1] if runs else 0) + more
    covered: list[tuple[int, int]] = []
    at = 0
    for span in spans(size, iter(runs)):
        assert span.run.used == min(rounded(size) - at, SPAN_BYTES) // KIB
        assert span.run == Run.of(span.run.addresses)
        for record in range(span.run.used):
            here = at + record * KIB
            inside = any(start <= here < stop for start, stop in runs)
            assert span.run.addresses[record] == inside
        covered += [(start, start + length) for start, length in span.data]
        at += span.run.used * KIB
    assert at == rounded(size)
    joined: list[tuple[int, int]] = []
    for start, stop in covered:
        if joined and joined[-1][1] == start and start % SPAN_BYTES == 0:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    assert joined == runs


def test_file_without_holes_uses_the_ready_made_runs() -> None:
    found = list(spans(SPAN_BYTES + 1, None))
    assert [span.run for span in found] == [RUNS[512], RUNS[1]]
    assert [span.data for span in found] == [[(0, SPAN_BYTES)], [(SPAN_BYTES, KIB)]]


def test_empty_file_has_no_span() -> None:
    assert list(spans(0, None)) == []


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), max_size=6),
    st.integers(0, 1_300_000),
)
def test_runs_hold_all_data_and_leave_holes_out(written: list[tuple[int, int]], size: int) -> None:
    with tempfile.TemporaryFile() as file:
        os.ftruncate(file.fileno(), size)
        content = bytearray(size)
        for block, count in written:
            data = b"\xaa" * max(0, min(count * 4096, size - block * 4096))
            os.pwrite(file.fileno(), data, block * 4096)
            content[block * 4096 : block * 4096 + len(data)] = data
        runs = list(data_runs(file.fileno(), size))
    flat = [edge for run in runs for edge in run]
    assert flat == sorted(set(flat))
    assert all(edge % KIB == 0 for edge in flat)
    assert not flat or flat[-1] <= rounded(size)
    for at in range(0, size, KIB):
        if any(content[at : at + KIB]):
            assert any(start <= at < stop for start, stop in runs)
    assert sum(stop - start for start, stop in runs) <= sum(n for _, n in written) * 4096 + KIB


def test_file_that_is_only_a_hole_has_no_run(tmp_path: Path) -> None:
    file = tmp_path / "hole"
    file.touch()
    os.truncate(file, 10 << 20)
    with file.open("rb") as opened:
        assert list(data_runs(opened.fileno(), 10 << 20)) == []


def test_what_cannot_tell_its_holes_is_all_data() -> None:
    # Files of procfs can be positioned but know nothing of holes.
    fd = os.open("/proc/self/status", os.O_RDONLY)
    try:
        assert list(data_runs(fd, 5000)) == [(0, 5 * KIB)]
    finally:
        os.close(fd)


def test_file_that_became_shorter_ends_its_runs(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 10_000)
    with file.open("rb") as opened:
        assert list(data_runs(opened.fileno(), 1_000_000)) == [(0, 10 * KIB)]

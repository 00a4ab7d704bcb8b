"""Backups of a volume while a restore writes LUNs to it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio

from session_stack import new_site, serving
from tapekit.hookspecs.data_engine import LogLevel
from tapekit.marks import LunMark, Marks, QtreeMark
from tapekit.testing import MemoryServices, MemorySink
from tapekit.testing.memory_connection import MemoryRanges, MemorySource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.marks import Mark
    from tapekit.segments import Batch

VOLUME = "/vs1/vol1"
OTHER = "/vs1/vol2"
LARGE = b"others" * 200_000
SECTORS = b"sector" * 200_000


class Watched(MemorySource):
    """A source that is looked at before each batch."""

    def __init__(self, data: bytes, look: Callable[[], object]) -> None:
        super().__init__(data, cuts=(65536,), per_batch=1)
        self._look = look

    def get(self) -> Batch | None:
        self._look()
        return super().get()


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[ServedStack]:
    """A volume with a LUN in a qtree, one at its top and two plain files, and
    an empty volume.
    """
    directory = tmp_path / "site"

    def edit(text: str) -> str:
        (directory / "other").mkdir(parents=True)
        return f'{text}\n[[volumes.volume]]\npath = "{OTHER}"\ndirectory = "other"\n'

    async with serving(directory, new_site(directory, edit)) as served:
        (served.volume / "home").mkdir()
        for name in ("home/a-lun", "b-file", "home/c-file"):
            (served.volume / name).write_bytes(SECTORS if name == "home/a-lun" else LARGE)
        (served.volume / "d-lun").write_bytes(b"small")
        put(served.volume / "home", QtreeMark(id=1))
        put(served.volume / "home/a-lun", LunMark(serial="abc", is_mapped=True))
        put(served.volume / "d-lun", LunMark(serial="def", is_mapped=True))
        yield served


def put(place: Path, mark: Mark) -> None:
    os.setxattr(place, *Marks().attribute(mark))


def back_up(stack: ServedStack, path: str) -> tuple[bytes, list[str]]:
    """A stream, and its warnings."""
    sink, services = MemorySink(), MemoryServices()
    job = stack.kernel.engines["dump"].prepare_backup([("FILESYSTEM", path)], "a test")
    with closing(job):
        job.run(sink, services)
    return sink.data, [text for level, text in services.messages if level is LogLevel.WARNING]


def restore(stack: ServedStack, data: bytes, look: Callable[[], object]) -> None:
    ranges = MemoryRanges(data, lambda _, part: Watched(part, look))
    job = stack.kernel.engines["dump"].prepare_recover([("FILESYSTEM", OTHER)], (), "a test")
    with closing(job):
        job.run(ranges, MemoryServices())


def left_out(warnings: Sequence[str]) -> set[str]:
    return {text.partition(" is left out")[0] for text in warnings if "is being restored" in text}


@pytest.mark.requirement("R235")
@pytest.mark.requirement("R255")
async def test_a_backup_leaves_out_the_luns_that_a_restore_writes(stack: ServedStack) -> None:
    seen: list[tuple[set[str], bool]] = []
    place = stack.directory / "other/home/a-lun"

    def look() -> None:
        is_marked = place.exists() and bool(
            {name for name in os.listxattr(place) if name.endswith(".tapekit.lun")}
        )
        seen.append((left_out(back_up(stack, OTHER)[1]), is_marked))
        assert is_marked is (is_marked and place.read_bytes() == SECTORS)

    def run() -> list[str]:
        restore(stack, back_up(stack, VOLUME)[0], look)
        return back_up(stack, OTHER)[1]

    warnings = await trio.to_thread.run_sync(run)
    names = [names for names, _ in seen]
    assert any(names == {"home/a-lun"} for names in names)
    assert {"home/a-lun", "b-file"} in names or {"home/a-lun", "home/c-file"} in names
    first = next(index for index, names in enumerate(names) if "home/a-lun" in names)
    assert all("home/a-lun" in each for each in names[first:])
    assert "b-file" not in names[-1]
    assert not seen[first][1]
    assert warnings == []


@pytest.mark.requirement("R235")
async def test_what_was_left_out_comes_with_the_next_level(stack: ServedStack) -> None:
    streams: list[bytes] = []

    def look() -> None:
        data, warnings = back_up(stack, OTHER)
        if left_out(warnings) == {"home/a-lun"}:
            streams.append(data)

    def run() -> tuple[bytes, list[str]]:
        restore(stack, back_up(stack, VOLUME)[0], look)
        sink, services = MemorySink(), MemoryServices()
        pairs = [("FILESYSTEM", OTHER), ("LEVEL", "1")]
        with closing(stack.kernel.engines["dump"].prepare_backup(pairs, "a test")) as job:
            job.run(sink, services)
        return sink.data, [text for _, text in services.messages]

    data, _ = await trio.to_thread.run_sync(run)
    assert b"a-lun" not in streams[-1]
    assert SECTORS[:1024] not in streams[-1]
    assert SECTORS[:400_000] in data


@pytest.mark.requirement("R235")
async def test_a_restore_that_fails_lets_go_of_its_luns(stack: ServedStack) -> None:
    held: list[set[str]] = []

    def look() -> None:
        held.append(left_out(back_up(stack, OTHER)[1]))
        if held[-1]:
            raise ConnectionError

    def run() -> list[str]:
        data, _ = back_up(stack, VOLUME)
        with pytest.raises(Exception, match="could not be read on"):
            restore(stack, data, look)
        return back_up(stack, OTHER)[1]

    warnings = await trio.to_thread.run_sync(run)
    assert held[-1]
    assert left_out(warnings) == set()

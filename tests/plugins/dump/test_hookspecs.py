"""Loops that a plugin offers take the place of the engine's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tapekit_dump.file_fetching import fetch_files
from tapekit_dump.small_files import PlainReading

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit_dump.file_fetching import Fetched
    from tapekit_dump.small_files import ReadingSite, SmallFileReading


class CountingLoops:
    """The engine's own loop for reading, and none for making."""

    def __init__(self) -> None:
        self.read: list[bytes] = []
        self.given = 0

    def reading(
        self,
        site: ReadingSite,
        directory: int,
        names: Sequence[bytes],
        numbers: Sequence[int],
        **options: Any,
    ) -> SmallFileReading:
        self.read += names
        return PlainReading(site, directory, names, numbers, **options)

    def fetch(self, directory: int, names: Sequence[bytes]) -> Fetched:
        return fetch_files(directory, names)

    def make(self, directory: int, files: Sequence[object], **_options: object) -> int:
        assert os.fstat(directory)
        self.given += len(files)
        return 0


@pytest.fixture
def loops() -> CountingLoops:
    return CountingLoops()


@pytest.fixture
def fast_site(
    make_site: Callable[..., Any], plugin: Callable[..., Any], loops: CountingLoops
) -> Any:
    fast = plugin("fast", tapekit_provide_small_file_loops=lambda self: loops)
    return make_site("", fast)


def test_a_plugins_loops_read_the_small_files(fast_site: Any, loops: CountingLoops) -> None:
    for name in ("a", "b"):
        (fast_site.volume / name).write_bytes(b"content of " + name.encode())
    (fast_site.volume / "link").symlink_to("a")
    assert fast_site.back_up().content(b"b") == b"content of b"
    assert sorted(loops.read) == [b"a", b"b"]


def test_change_times_that_a_copy_lost_are_for_the_engines_own_loop(
    fast_site: Any, loops: CountingLoops
) -> None:
    (fast_site.volume / "a").touch()
    fast_site.storage.snapshot_name = "hourly.0"
    assert fast_site.back_up().content(b"a") == b""
    assert loops.read == []

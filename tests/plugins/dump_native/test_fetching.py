"""What is fetched in C is what is fetched in Python."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tapekit_dump.file_fetching import fetch_files

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit_dump_native.loops import NativeLoops


def test_both_fetch_the_same_files(tmp_path: Path, loops: NativeLoops) -> None:
    names = [f"file{size}".encode() for size in (0, 1, 4096, 4097, 300_000)]
    for name in names:
        (tmp_path / name.decode()).write_bytes(b"x" * int(name[4:]))
    (tmp_path / "link").symlink_to("file1")
    os.mkfifo(tmp_path / "pipe")
    names[2:2] = [b"gone", b"link", b"pipe"]
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no path is wanted
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        fetched = loops.fetch(directory, names)
        assert fetched.length == fetch_files(directory, names).length == (0 + 1 + 1 + 2 + 74) * 8
        assert fetched.blocks >= fetched.contents >= 0
        assert loops.fetch(directory, []) == (0, 0, 0)
    finally:
        os.close(directory)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208

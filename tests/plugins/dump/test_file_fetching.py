from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tapekit_dump.file_fetching import blocks_read, fetch_files

if TYPE_CHECKING:
    from pathlib import Path


def test_files_that_can_be_opened_are_fetched_and_measured_in_pages(tmp_path: Path) -> None:
    for name, size in (("empty", 0), ("one", 1), ("page", 4096), ("more", 4097)):
        (tmp_path / name).write_bytes(b"x" * size)
    (tmp_path / "link").symlink_to("more")
    names = [b"empty", b"gone", b"link", b"one", b"page", b"more"]
    counts = iter(range(0, 1000, 10))
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        fetched = fetch_files(directory, names, lambda: next(counts))
    finally:
        os.close(directory)
    # A count before and after all, and around the contents of each of four.
    assert fetched == (90, 40, (1 + 1 + 2) * 8)


def test_reads_of_the_system_are_counted() -> None:
    assert blocks_read() >= 0

"""Paths into Snapshot copies, and batches of what is there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_snapext.browsing import Browser, snapshot_path

if TYPE_CHECKING:
    from pathlib import Path


class MemoryTree(NamedTuple):
    """A directory in a Snapshot copy."""

    descriptor: int
    taken_at_s: int

    def close(self) -> None:
        os.close(self.descriptor)


class MemoryStorage:
    """The Snapshot copies of one volume, by name, and one with a directory."""

    def __init__(self, names: list[str], directory: Path | None = None) -> None:
        self._names = names
        self._directory = directory
        self.taken_at_s = 5

    def open_backup(self, path: str, holder: str) -> MemoryTree:
        assert self._directory is not None
        return MemoryTree(os.open(self._directory, os.O_RDONLY), self.taken_at_s)

    def snapshot_names(self, volume: str) -> list[str]:
        assert volume == "/vs1/vol1"
        return self._names


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("/vs1/vol1", ("/vs1/vol1", None, "")),
        ("/vs1/vol1/.snapshot/", ("/vs1/vol1", None, "")),
        ("/vs1/vol1/.snapshot/monday", ("/vs1/vol1", "monday", "")),
        ("//vs1/vol1/./.snapshot/monday/a/b/", ("/vs1/vol1", "monday", "a/b")),
    ],
)
def test_a_path_is_taken_apart(path: str, parts: tuple[str, str | None, str]) -> None:
    assert snapshot_path(path) == parts


@pytest.mark.parametrize(
    "path", ["", "/", "/vs1", "vs1/vol1", "/vs1/vol1/a", "/vs1/vol1/a/b", "/v/w/.snapshot/x/../y"]
)
def test_a_path_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(TapekitError, match="does not lead to a Snapshot copy"):
        snapshot_path(path)


@pytest.mark.requirement("R190")
@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 12))
def test_batches_give_every_entry_once(count: int, at_once: int, most: int) -> None:
    names = [f"copy{number}" for number in range(count)]
    browser = Browser(MemoryStorage(names), 7, at_once)
    found: list[str] = []
    cookie = 0
    while True:
        cookie, entries = browser.entries("/vs1/vol1", cookie, most, "a test")
        assert len(entries) <= min(at_once, most or at_once)
        found += [entry.name for entry in entries]
        if not cookie:
            break
    assert found == names


@pytest.mark.requirement("R190")
def test_a_cookie_of_another_run_begins_anew() -> None:
    storage = MemoryStorage(["one", "two"])
    cookie, _ = Browser(storage, 7, 1).entries("/vs1/vol1", 0, 0, "a test")
    with pytest.raises(TapekitError, match="has to be browsed from its beginning"):
        Browser(storage, 8, 1).entries("/vs1/vol1", cookie, 0, "a test")


@pytest.mark.requirement("R190")
def test_a_directory_is_read_once_for_all_of_its_batches(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"file{number}").touch()
    storage = MemoryStorage([], tmp_path)
    browser, path = Browser(storage, 7, 4), "/vs1/vol1/.snapshot/monday"
    found = []
    cookie = -1
    while cookie:
        cookie, entries = browser.entries(path, max(cookie, 0), 0, "a test")
        found += [entry.name for entry in entries]
        (tmp_path / f"a{len(found)}").touch()
    assert found == [f"file{number}" for number in range(10)]
    _, entries = browser.entries(path, 0, 0, "a test")
    assert [entry.name for entry in entries] == ["a10", "a4", "a8", "file0"]
    (tmp_path / "a0").touch()
    storage.taken_at_s = 6
    _, entries = browser.entries(path, 0, 0, "a test")
    assert entries[0].name == "a0"


def test_a_listing_from_the_beginning_reads_the_directory_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).touch()
    browser = Browser(MemoryStorage([], tmp_path), 7, 1)
    path = "/vs1/vol1/.snapshot/monday"
    browser.entries(path, 0, 0, "a test")
    # The copy has been replaced within its second.
    (tmp_path / "a").rename(tmp_path / "0")
    (entry,) = browser.entries(path, 0, 0, "a test").entries
    assert entry.name == "0"

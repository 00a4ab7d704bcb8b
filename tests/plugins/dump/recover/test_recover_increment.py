"""Increments made record by record, and destinations that resist them."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tapekit.kernel.memory_state import MemoryStateStore
from tapekit_dump.recover_memory import KnownName, RestoreMemory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

BASE = 1_500_000_000
VOLUME = "/vs1/vol1"

NAMES = (
    KnownName(3, 2, b"a", is_directory=True),
    KnownName(4, 2, b"b", is_directory=True),
    KnownName(5, 3, b"below", is_directory=True),
    KnownName(6, 3, b"file", is_directory=False),
    KnownName(7, 5, b"deep", is_directory=False),
)
"""What the destination holds: a/below/deep, a/file and b."""


def bitmap(*numbers: int) -> bytes:
    return sum(1 << (number - 1) for number in numbers).to_bytes(1024, "little")


class Destination(NamedTuple):
    """A folder to which the base has been restored, and what follows."""

    folder: Path
    state: MemoryStateStore
    dump: Any
    restore: Callable[..., Any]

    def begin(self, used: Sequence[int], dumped: Sequence[int]) -> Any:
        """An incremental dump with its maps."""
        return self.dump(base_date=BASE, level=1).begin_with(bitmap(*used), bitmap(*dumped))

    def apply(self, data: bytes) -> Any:
        return self.restore(data, environment=(("FILESYSTEM", VOLUME),), state=self.state)

    def known(self) -> list[KnownName]:
        memory = RestoreMemory(self.state, VOLUME)
        assert memory.restored is not None
        return list(memory.names(memory.restored))


@pytest.fixture
def destination(folder: Path, dump: Any, restore: Any) -> Destination:
    (folder / "a/below").mkdir(parents=True)
    (folder / "b").mkdir()
    (folder / "a/below/deep").write_text("deep")
    (folder / "a/file").write_text("file")
    state = MemoryStateStore()
    RestoreMemory(state, VOLUME).keep(BASE, NAMES)
    return Destination(folder, state, dump, restore)


def test_names_of_what_the_dump_has_not_follow_it(destination: Destination) -> None:
    made = destination.begin([2, 3, 4, 5, 6, 7], [2, 3, 4])
    made.directory(2, [(b"a", 3), (b"b", 4), (b"link", 6)]).directory(3)
    outcome = destination.apply(made.directory(4, [(b"moved", 5), (b"renamed", 6)]).end())
    assert outcome.error is None
    assert outcome.names() == {"a", "b", "b/moved", "b/moved/deep", "b/renamed", "link"}
    assert (destination.folder / "b/renamed").samefile(destination.folder / "link")
    assert destination.known() == [
        KnownName(3, 2, b"a", is_directory=True),
        KnownName(4, 2, b"b", is_directory=True),
        KnownName(5, 4, b"moved", is_directory=True),
        KnownName(6, 2, b"link", is_directory=False),
        KnownName(6, 4, b"renamed", is_directory=False),
        KnownName(7, 5, b"deep", is_directory=False),
    ]


def test_a_number_that_was_a_file_can_be_a_directory_and_the_reverse(
    destination: Destination,
) -> None:
    made = destination.begin([2, 3, 4, 5, 6], [2, 3, 5, 6])
    made.directory(2, [(b"a", 3), (b"b", 4)])
    made.directory(3, [(b"below", 5), (b"file", 6)]).directory(6, parent=3)
    outcome = destination.apply(made.file(5, b"now a file").end())
    assert outcome.error is None
    assert (destination.folder / "a/below").read_text() == "now a file"
    assert (destination.folder / "a/file").is_dir()
    assert outcome.names() == {"a", "a/below", "a/file", "b"}
    assert [known.is_directory for known in destination.known()] == [True, True, False, True]


def test_what_is_not_in_use_goes_even_from_directories_that_stay(
    destination: Destination,
) -> None:
    made = destination.begin([2, 3, 4, 5, 7], [2]).directory(2, [(b"a", 3), (b"b", 4)])
    outcome = destination.apply(made.end())
    assert outcome.error is None
    assert outcome.names() == {"a", "a/below", "a/below/deep", "b"}
    assert [known.number for known in destination.known()] == [3, 4, 5, 7]


def test_what_has_gone_already_does_not_matter(destination: Destination) -> None:
    (destination.folder / "a/file").unlink()
    (destination.folder / "b").rmdir()
    made = destination.begin([2, 3, 5, 7], [2, 3])
    outcome = destination.apply(made.directory(2, [(b"a", 3)]).directory(3, [(b"below", 5)]).end())
    assert outcome.error is None
    assert outcome.names() == {"a", "a/below", "a/below/deep"}


def test_a_file_in_the_way_of_a_directory_is_replaced(destination: Destination) -> None:
    (destination.folder / "new").write_text("in the way")
    made = destination.begin([2, 3, 4, 5, 6, 7], [2, 3])
    made.directory(2, [(b"b", 4), (b"new", 3)])
    outcome = destination.apply(made.directory(3, [(b"below", 5), (b"file", 6)]).end())
    assert outcome.error is None
    assert outcome.names() == {"b", "new", "new/below", "new/below/deep", "new/file"}


def test_a_directory_in_the_way_is_a_loss_and_nothing_of_the_other_is_removed(
    destination: Destination,
) -> None:
    (destination.folder / "new/mine").mkdir(parents=True)
    made = destination.begin([2, 3, 4, 5, 6, 7], [2, 3])
    made.directory(2, [(b"b", 4), (b"new", 3)])
    outcome = destination.apply(made.directory(3, [(b"below", 5), (b"file", 6)]).end())
    assert outcome.error.id == "dump.restore-incomplete"
    (aside,) = destination.folder.glob(".restored-aside-*")
    assert sorted(path.name for path in (aside / "3").iterdir()) == ["below", "file"]
    assert (destination.folder / "new/mine").is_dir()
    assert any("stays as /.restored-aside-" in text for text in outcome.told())


@pytest.fixture
def immutable(destination: Destination) -> Iterator[Path]:
    path = destination.folder / "a/file"
    done = subprocess.run(["chattr", "+i", path], capture_output=True, check=False)
    if done.returncode or os.geteuid():
        pytest.skip("this takes root and a file system with flags")
    yield path
    subprocess.run(["chattr", "-i", path], check=True)


def test_what_cannot_be_removed_is_told_by_name(destination: Destination, immutable: Path) -> None:
    made = destination.begin([2, 3, 4, 5, 7], [2, 3])
    made.directory(2, [(b"a", 3), (b"b", 4)]).directory(3, [(b"below", 5)])
    outcome = destination.apply(made.end())
    assert outcome.error.id == "dump.restore-incomplete"
    told = "/a/file could not be removed or renamed as the dump says: Operation not permitted"
    assert outcome.told() == [told]
    assert immutable.exists()


def renamed(destination: Destination) -> bytes:
    """An increment in which a/file has become b/renamed."""
    made = destination.begin([2, 3, 4, 5, 6, 7], [2, 3, 4])
    made.directory(2, [(b"a", 3), (b"b", 4)]).directory(3, [(b"below", 5)])
    return made.directory(4, [(b"renamed", 6)]).end()


def test_a_file_that_cannot_get_its_new_name_keeps_the_old_one(
    destination: Destination, immutable: Path
) -> None:
    data = renamed(destination)
    outcome = destination.apply(data)
    assert outcome.error.id == "dump.restore-incomplete"
    assert immutable.read_text() == "file"
    assert KnownName(6, 3, b"file", is_directory=False) in destination.known()
    subprocess.run(["chattr", "-i", immutable], check=True)
    assert destination.apply(data).error is None
    assert (destination.folder / "b/renamed").read_text() == "file"
    assert outcome.names() == {"a", "a/below", "a/below/deep", "b", "b/renamed"}
    immutable.touch()


@pytest.mark.parametrize("reason", [errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_a_file_is_renamed_where_there_are_no_links(
    destination: Destination, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "link", link)
    outcome = destination.apply(renamed(destination))
    assert outcome.error is None
    assert (destination.folder / "b/renamed").read_text() == "file"
    assert outcome.names() == {"a", "a/below", "a/below/deep", "b", "b/renamed"}


def test_a_file_that_can_be_put_aside_and_not_be_placed_stays_aside(
    destination: Destination,
) -> None:
    (destination.folder / "b/renamed/mine").mkdir(parents=True)
    outcome = destination.apply(renamed(destination))
    assert outcome.error.id == "dump.restore-incomplete"
    (aside,) = destination.folder.glob(".restored-aside-*")
    assert (aside / "6").read_text() == "file"


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_maps_that_are_not_there_change_nothing(destination: Destination, missing: int) -> None:
    made = destination.begin([2, 3], [2, 3])
    data = bytearray(made.directory(2).end())
    # The header of a map, or the first record behind both.
    at = (1, 3, 5)[missing] * 1024
    data[at : at + 1024] = bytes(1024)
    outcome = destination.apply(bytes(data))
    assert outcome.error.id == "dump.increment-damaged"
    assert (destination.folder / "a/file").exists()
    assert [known.number for known in destination.known()] == [3, 4, 5, 6, 7]

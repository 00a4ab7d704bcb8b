from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit.marks import Marks, QtreeMark
from tapekit_volumes.qtrees import HIGHEST_ID, Qtree, Qtrees, free_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def qtrees(tmp_path: Path) -> Iterator[Qtrees]:
    top = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield Qtrees(top, "/vs1/vol1", Marks())
    os.close(top)


def test_a_qtree_is_made_with_a_directory_and_a_mark(qtrees: Qtrees, tmp_path: Path) -> None:
    mark = QtreeMark(id=qtrees.next_id(), oplocks=False)
    qtrees.create(b"q1", mark, 0o751)
    assert (tmp_path / "q1").stat().st_mode & 0o7777 == 0o751
    assert qtrees.find(b"q1") == mark
    assert qtrees.all() == [Qtree(b"q1", mark)]
    assert qtrees.next_id() == 2


def test_directories_and_files_are_no_qtrees(qtrees: Qtrees, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").touch()
    assert qtrees.all() == []
    with pytest.raises(TapekitError) as refused:
        qtrees.require(b"plain")
    assert refused.value.id == "volumes.no-such-qtree"


def test_qtrees_come_by_number(qtrees: Qtrees) -> None:
    for name, number in ((b"c", 3), (b"a", 7), (b"b", 1)):
        qtrees.create(name, QtreeMark(id=number), 0o755)
    assert [each.name for each in qtrees.all()] == [b"b", b"c", b"a"]
    assert qtrees.next_id() == 2


@pytest.mark.parametrize("name", [b"", b"..", b"a/b", b".snapshot", b"x" * 65])
def test_names_that_cannot_be_had(qtrees: Qtrees, name: bytes, tmp_path: Path) -> None:
    with pytest.raises(TapekitError) as refused:
        qtrees.create(name, QtreeMark(id=1), 0o755)
    assert refused.value.id == "volumes.bad-qtree-name"
    assert list(tmp_path.iterdir()) == []


def test_a_directory_does_not_become_a_qtree(qtrees: Qtrees, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(TapekitError) as refused:
        qtrees.create(b"there", QtreeMark(id=1), 0o755)
    assert refused.value.id == "volumes.qtree-name-taken"


def test_a_qtree_is_changed(qtrees: Qtrees) -> None:
    qtrees.create(b"q", QtreeMark(id=1), 0o755)
    qtrees.change(b"q", QtreeMark(id=1, is_read_only=True))
    assert qtrees.require(b"q").is_read_only


def test_only_an_empty_qtree_is_deleted(qtrees: Qtrees, tmp_path: Path) -> None:
    qtrees.create(b"q", QtreeMark(id=1), 0o755)
    (tmp_path / "q" / "file").touch()
    with pytest.raises(TapekitError) as refused:
        qtrees.delete(b"q")
    assert refused.value.id == "volumes.qtree-not-empty"
    (tmp_path / "q" / "file").unlink()
    qtrees.delete(b"q")
    assert not (tmp_path / "q").exists()


def test_numbers_are_filled_from_below() -> None:
    assert free_id(set()) == 1
    assert free_id({1, 2, 4}) == 3
    assert free_id(set(range(1, HIGHEST_ID + 1))) == HIGHEST_ID + 1

from __future__ import annotations

import os
from pathlib import Path, PosixPath
from typing import TYPE_CHECKING

import pytest

from tapekit.errors import TapekitError
from tapekit_eventlog.reading import all_lines, follow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def test_older_weeks_come_first(tmp_path: Path) -> None:
    for name, text in (("backup", "3\n4\n"), ("backup.0", "2\n"), ("backup.5", "1\n")):
        (tmp_path / name).write_text(text)
    assert list(all_lines(tmp_path / "backup")) == ["1", "2", "3", "4"]


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    assert list(all_lines(tmp_path / "backup")) == []


def test_a_log_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    with pytest.raises(TapekitError, match="cannot be read"):
        list(all_lines(tmp_path / "backup"))


def steps(*actions: Callable[[], object]) -> Callable[[], bool]:
    """What happens while a log is followed, one action a wait."""
    left = iter(actions)

    def wait() -> bool:
        action = next(left, None)
        if action is None:
            return False
        action()
        return True

    return wait


def append(path: Path, text: str) -> Callable[[], object]:
    def act() -> None:
        with path.open("a") as file:
            file.write(text)

    return act


def nothing() -> None:
    """Time passes."""


def followed(path: Path, *actions: Callable[[], object]) -> Sequence[str]:
    return list(follow(path, steps(*actions)))


def test_following_gives_new_lines_whole(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("old\n")
    assert followed(path, append(path, "one\ntw"), nothing, append(path, "o\n")) == ["one", "two"]


def test_following_goes_on_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("old\n")

    def rotate() -> None:
        append(path, "last\n")()
        path.rename(tmp_path / "backup.0")
        append(path, "first\n")()

    assert followed(path, rotate, nothing) == ["last", "first"]


class RotatedWhenLookedAt(PosixPath):
    """The path of a log that gets a last line and is rotated when somebody
    looks whether it is still there.
    """

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        older = self.parent / "backup.0"
        if not os.path.lexists(older):
            append(Path(self), "last\n")()
            self.rename(older)
            append(Path(self), "first\n")()
        return super().stat(follow_symlinks=follow_symlinks)


def test_a_last_line_before_a_rotation_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    path.write_text("old\n")
    assert followed(RotatedWhenLookedAt(path), nothing, nothing) == ["last", "first"]


def test_following_waits_for_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    assert followed(path, nothing, append(path, "one\n"), nothing) == ["one"]

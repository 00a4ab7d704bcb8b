"""Changes trees at random, as people and programs do between two backups.

Each edit is one of the things that an incremental backup has to notice and
its restore to repeat: contents, attributes, names, links, types. The one
rule: everything follows from the seed and the tree.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["edit_tree"]


def edit_tree(root: Path, seed: int, *, edits: int = 30) -> list[str]:
    """Change the tree below ``root``; tells what was done, for messages."""
    editor = _Editor(root, seed)
    for _ in range(edits):
        editor.edit()
    return editor.done


@final
class _Editor:
    """One session of edits."""

    def __init__(self, root: Path, seed: int) -> None:
        self._root: Final = root
        self._chance: Final = random.Random(seed)
        self._seed: Final = seed
        self.done: Final[list[str]] = []

    def edit(self) -> None:
        """Do one thing, if the tree has what it takes."""
        edits: tuple[Callable[[], str | None], ...] = (
            self._make_file,
            self._make_file,
            self._make_directory,
            self._make_symlink,
            self._make_fifo,
            self._write,
            self._cut,
            self._remove,
            self._remove_directory,
            self._move,
            self._move,
            self._move_directory,
            self._swap,
            self._link,
            self._change_mode,
            self._change_type,
            self._move_into_new_directory,
        )
        edit = self._chance.choice(edits)
        told = edit()
        if told is not None:
            self.done.append(f"{edit.__name__[1:]} {told}")

    # What there is

    def _directories(self) -> list[Path]:
        return sorted(path for path in self._root.rglob("*") if _is_directory(path))

    def _others(self) -> list[Path]:
        return sorted(path for path in self._root.rglob("*") if not _is_directory(path))

    def _any(self, paths: list[Path]) -> Path | None:
        return self._chance.choice(paths) if paths else None

    def _somewhere(self) -> Path:
        return self._chance.choice([self._root, *self._directories()])

    def _new_name(self) -> Path:
        return self._somewhere() / f"n{self._seed}-{self._chance.randrange(10**6)}"

    def _content(self) -> bytes:
        return self._chance.randbytes(self._chance.choice((0, 5, 900, 5000, 70000)))

    # What can be done

    def _make_file(self) -> str:
        path = self._new_name()
        path.write_bytes(self._content())
        return str(path)

    def _make_directory(self) -> str:
        path = self._new_name()
        path.mkdir()
        return str(path)

    def _make_symlink(self) -> str:
        path = self._new_name()
        path.symlink_to(f"target {self._chance.random()}")
        return str(path)

    def _make_fifo(self) -> str:
        path = self._new_name()
        os.mkfifo(path)
        return str(path)

    def _write(self) -> str | None:
        path = self._any([path for path in self._others() if _is_file(path)])
        if path is not None:
            with path.open("r+b") as file:
                file.write(self._content())
        return path and str(path)

    def _cut(self) -> str | None:
        path = self._any([path for path in self._others() if _is_file(path)])
        if path is not None:
            os.truncate(path, self._chance.choice((0, 100, 20000)))
        return path and str(path)

    def _remove(self) -> str | None:
        path = self._any(self._others())
        if path is not None:
            path.unlink()
        return path and str(path)

    def _remove_directory(self) -> str | None:
        path = self._any(self._directories())
        if path is not None and self._chance.random() < 0.3:
            shutil.rmtree(path)
        return path and str(path)

    def _move(self) -> str | None:
        path, goal = self._any(self._others()), self._new_name()
        if path is not None:
            if self._chance.random() < 0.3:
                goal = self._any(self._others()) or goal
            path.rename(goal)
        return path and f"{path} {goal}"

    def _move_directory(self) -> str | None:
        path, goal = self._any(self._directories()), self._new_name()
        if path is None or goal.is_relative_to(path):
            return None
        path.rename(goal)
        return f"{path} {goal}"

    def _swap(self) -> str | None:
        of_a_kind = self._chance.choice((self._others, self._directories))()
        one, other = self._any(of_a_kind), self._any(of_a_kind)
        if one is None or other is None or one.is_relative_to(other) or other.is_relative_to(one):
            return None
        aside = self._root / f"aside {self._chance.random()}"
        one.rename(aside)
        other.rename(one)
        aside.rename(other)
        return f"{one} {other}"

    def _link(self) -> str | None:
        path, goal = self._any(self._others()), self._new_name()
        if path is not None:
            os.link(path, goal, follow_symlinks=False)
        return path and f"{path} {goal}"

    def _change_mode(self) -> str | None:
        path = self._any([p for p in (*self._others(), *self._directories()) if not p.is_symlink()])
        if path is not None:
            path.chmod(self._chance.choice((0o700, 0o750, 0o755, 0o711)))
        return path and str(path)

    def _change_type(self) -> str | None:
        path = self._any(self._others())
        if path is not None:
            path.unlink()
            path.mkdir()
            (path / "below").write_bytes(self._content())
            return f"{path} is a directory"
        return None

    def _move_into_new_directory(self) -> str | None:
        """Something goes into a directory that takes its own name."""
        path = self._any([*self._others(), *self._directories()])
        if path is None:
            return None
        aside = self._root / f"aside {self._chance.random()}"
        path.rename(aside)
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        aside.rename(path / "inside")
        return str(path)


def _is_directory(path: Path) -> bool:
    return not path.is_symlink() and path.is_dir()


def _is_file(path: Path) -> bool:
    return not path.is_symlink() and path.is_file()

"""Qtrees: marked directories at the top of a volume.

The mark is on the directory itself, so that it goes into Snapshot copies and
onto tape and is gone with the directory. Numbers are unique in a volume; the
volume itself stands for number 0. The one rule: a directory that has been
there before never becomes a qtree, and one with something in it never goes.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.marks import QtreeMark
from tapekit_volumes.descent import shown
from tapekit_volumes.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit.errors import TapekitError
    from tapekit.marks import Marks

__all__ = ["HIGHEST_ID", "Qtree", "Qtrees", "free_id"]

HIGHEST_ID: Final = 4994
"""Of a qtree; a volume has no more of them."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LONGEST_NAME: Final = 64


class Qtree(NamedTuple):
    """A qtree of a volume."""

    name: bytes
    mark: QtreeMark


@final
class Qtrees:
    """The qtrees of one volume.

    :param top: open descriptor of the volume's directory; stays open.
    :param volume: the volume's path, for messages.
    """

    def __init__(self, top: int, volume: str, marks: Marks) -> None:
        self._top: Final = top
        self._volume: Final = volume
        self._marks: Final = marks

    def all(self) -> list[Qtree]:
        """All of them, by number."""
        return sorted(self._found(), key=lambda qtree: qtree.mark.id)

    def find(self, name: bytes) -> QtreeMark | None:
        """What a name at the top is as a qtree, if it is one."""
        return self._marks.read_below(self._top, name, QtreeMark)

    def create(self, name: bytes, mark: QtreeMark, mode: int) -> None:
        """Make a qtree, with a directory of its own.

        :raises TapekitError: the name cannot be had, or the file system
            refuses.
        """
        path = shown(self._volume, (name,))
        if not name or b"/" in name or name in {b".", b"..", b".snapshot"}:
            raise CATALOGUE.error("bad-qtree-name", name=path, limit=_LONGEST_NAME)
        if len(name) > _LONGEST_NAME:
            raise CATALOGUE.error("bad-qtree-name", name=path, limit=_LONGEST_NAME)
        try:
            os.mkdir(name, 0o700, dir_fd=self._top)
        except FileExistsError:
            raise CATALOGUE.error("qtree-name-taken", path=path) from None
        except OSError as error:
            raise _failed(path, error) from error
        try:
            self._set_up(name, mark, mode)
        except OSError as error:
            os.rmdir(name, dir_fd=self._top)
            raise _failed(path, error) from error

    def change(self, name: bytes, mark: QtreeMark) -> None:
        """Give a qtree another mark.

        :raises TapekitError: it is none, or the file system refuses.
        """
        self.require(name)
        try:
            self._write(name, mark)
        except OSError as error:
            raise _failed(shown(self._volume, (name,)), error) from error

    def delete(self, name: bytes) -> None:
        """Remove an empty qtree.

        :raises TapekitError: it is none, or something is in it.
        """
        self.require(name)
        path = shown(self._volume, (name,))
        try:
            os.rmdir(name, dir_fd=self._top)
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                raise CATALOGUE.error("qtree-not-empty", path=path) from None
            raise _failed(path, error) from error

    def require(self, name: bytes) -> QtreeMark:
        """The mark of a qtree.

        :raises TapekitError: it is none.
        """
        mark = self.find(name)
        if mark is None:
            known = ", ".join(os.fsdecode(each.name) for each in self.all()) or "none"
            path = shown(self._volume, (name,))
            raise CATALOGUE.error("no-such-qtree", path=path, volume=self._volume, known=known)
        return mark

    def next_id(self) -> int:
        """The smallest number that is free.

        :raises TapekitError: there is none.
        """
        number = free_id({qtree.mark.id for qtree in self._found()})
        if number > HIGHEST_ID:
            raise CATALOGUE.error("too-many-qtrees", volume=self._volume, limit=HIGHEST_ID)
        return number

    def _found(self) -> Iterator[Qtree]:
        with os.scandir(self._top) as entries:
            names = [
                os.fsencode(each.name) for each in entries if each.is_dir(follow_symlinks=False)
            ]
        for name in names:
            mark = self.find(name)
            if mark is not None:
                yield Qtree(name, mark)

    def _set_up(self, name: bytes, mark: QtreeMark, mode: int) -> None:
        self._write(name, mark)
        fd = os.open(name, _DIRECTORY, dir_fd=self._top)
        try:
            os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def _write(self, name: bytes, mark: QtreeMark) -> None:
        fd = os.open(name, _DIRECTORY, dir_fd=self._top)
        try:
            self._marks.write(fd, mark)
        finally:
            os.close(fd)


def free_id(used: set[int]) -> int:
    """The smallest number that is not in use, from 1 on."""
    return next(number for number in range(1, len(used) + 2) if number not in used)


def _failed(path: str, error: OSError) -> TapekitError:
    return CATALOGUE.error("marking-failed", path=path, reason=error.strerror or str(error))

"""Small files of one directory, made one after the other.

This is the inner loop of a restore: half a dozen calls into the kernel for a
file, so each one that can be left out counts. What new files in a directory
get by themselves is learnt from the first one; owner and mode are set only
where they differ. The one rule: a file that could not be completed does not
stay.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, TypeAlias, final

from tapekit_dump.recover_attributes import Attributes, AttributeSetter
from tapekit_dump.recover_names import forget_acl, new_file, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tapekit.errors import TapekitError
    from tapekit_dump.recover_catalogue import Place
    from tapekit_dump.small_files import SmallFile, SmallFileLoops

__all__ = ["Outcome", "SmallFileMaker"]

_PRIVATE: Final = 0o600
_BEYOND_CREATION: Final = 0o7000
"""Bits that a file cannot be made with: giving it away would clear them."""


Outcome: TypeAlias = "TapekitError | tuple[Place, OSError]"
"""An attribute that could not be set, or a file that could not be made."""


@final
class SmallFileMaker:
    """Makes files in one directory; for one thread.

    :param directory: open descriptor of the directory.
    :param inherits: whether new files in it get an ACL of its making.
    :param umask: mode bits that new files do not get.
    :param path_of: tells the path of a place, for messages.
    :param loops: what makes ordinary files, if not this class.
    """

    def __init__(
        self,
        directory: int,
        *,
        inherits: bool,
        umask: int,
        old_format: bool,
        path_of: Callable[[Place], str],
        loops: SmallFileLoops | None = None,
    ) -> None:
        self._directory: Final = directory
        self._loops: Final = loops
        self._inherits: Final = inherits
        self._chmod_for: Final = umask | _BEYOND_CREATION
        self._old_format: Final = old_format
        self._path_of: Final = path_of
        self._owner: tuple[int, int] | None = None
        self._outcomes: Final[list[Outcome]] = []
        self.made = 0
        """Files that are complete."""
        self._setter: Final = AttributeSetter(self._outcomes.append)

    def make_all(self, files: Sequence[SmallFile]) -> list[Outcome]:
        """Make files; gives what went wrong, in order."""
        at = 0
        while at < len(files):
            if self._loops is not None and not self._inherits:
                at += self._make_run(self._loops, files[at:])
            if at < len(files):
                self._make_one(files[at])
                at += 1
        return self._outcomes

    def _make_run(self, loops: SmallFileLoops, files: Sequence[SmallFile]) -> int:
        """Have the ordinary files made that come first; how many they were."""
        done = loops.make(
            self._directory, files, old_format=self._old_format, chmod_for=self._chmod_for
        )
        self.made += done
        return done

    def _make_one(self, file: SmallFile) -> None:
        try:
            if self._inherits or file.sets:
                self._make_carefully(file)
            else:
                self._make(file)
            self.made += 1
        except OSError as error:
            self._outcomes.append((file.place, error))

    def _make(self, file: SmallFile) -> None:
        """Make a file in as few calls as it takes."""
        place, header, content, _ = file
        attributes = Attributes.of(header, old_format=self._old_format)
        mode, flags, uid, gid, atime_ns, mtime_ns = attributes
        fd = new_file(place.name, self._directory, mode & 0o777)
        try:
            write_all(fd, content, 0)
            try:
                if (uid, gid) != (self._owner or self._learn_owner(fd)):
                    os.fchown(fd, uid, gid)
                if mode & self._chmod_for:
                    os.fchmod(fd, mode & 0o7777)
                os.utime(fd, ns=(atime_ns, mtime_ns))
            except OSError:
                # Once more, each by itself and with a message.
                self._setter.finish(fd, attributes, (), lambda: self._path_of(place))
            if flags:
                self._setter.set_flags(fd, flags, lambda: self._path_of(place))
        except OSError:
            os.unlink(place.name, dir_fd=self._directory)
            raise
        finally:
            os.close(fd)

    def _learn_owner(self, fd: int) -> tuple[int, int]:
        """The user and group that new files in this directory get."""
        status = os.fstat(fd)
        self._owner = status.st_uid, status.st_gid
        return self._owner

    def _make_carefully(self, file: SmallFile) -> None:
        """Make a file that has extended attributes, or gets some."""
        place, header, content, sets = file
        attributes = Attributes.of(header, old_format=self._old_format)
        fd = new_file(place.name, self._directory, _PRIVATE)
        try:
            if self._inherits:
                forget_acl(fd)
            write_all(fd, content, 0)
            self._setter.finish(fd, attributes, sets, lambda: self._path_of(place))
            self._setter.set_flags(fd, attributes.flags, lambda: self._path_of(place))
        except OSError:
            os.unlink(place.name, dir_fd=self._directory)
            raise
        finally:
            os.close(fd)

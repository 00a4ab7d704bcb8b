"""Single files of a volume that are more than files: LUNs, WORM files,
VM-aligned files.

A file is opened by the way down from the volume's top, and what it is stands
in its marks. A WORM file on a SnapLock volume is also immutable to the
system, its access time being the end of its retention, as storage systems
show it. The one rule: an immutable file is let go only when its time has
come, or on an enterprise volume.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import struct
from typing import TYPE_CHECKING, Final, final

from tapekit.marks import AlignMark, LunMark, QtreeMark, SnapLock, WormMark
from tapekit_volumes.descent import open_below, shown
from tapekit_volumes.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tapekit.marks import Marks
    from tapekit_volumes.table import Volume

__all__ = ["MarkedFiles"]

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_GET_FLAGS: Final = 0x8008_6601
_SET_FLAGS: Final = 0x4008_6602
_FLAG_WORD: Final = struct.Struct("=I4x")
"""The calls are declared for a long and use an int."""

_IMMUTABLE: Final = 0x10
_WRITABLE: Final = 0o222


@final
class MarkedFiles:
    """The marked files of one volume.

    :param top: open descriptor of the volume's directory; stays open.
    """

    def __init__(self, top: int, volume: Volume, marks: Marks) -> None:
        self._top: Final = top
        self._volume: Final = volume
        self._marks: Final = marks

    @contextlib.contextmanager
    def opened(self, parts: Sequence[bytes]) -> Iterator[int]:
        """A regular file of the volume, open for reading.

        :raises TapekitError: there is none, or the file system refuses what
            is done with it.
        """
        path = shown(self._volume.path, parts)
        if not parts:
            raise CATALOGUE.error("no-regular-file", path=path)
        directory = open_below(self._top, parts[:-1], self._volume.path)
        try:
            with contextlib.ExitStack() as undo:
                fd = os.open(parts[-1], _READ, dir_fd=directory)
                undo.callback(os.close, fd)
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise CATALOGUE.error("no-regular-file", path=path)
                yield fd
        except OSError as error:
            reason = error.strerror or str(error)
            raise CATALOGUE.error("marking-failed", path=path, reason=reason) from error
        finally:
            os.close(directory)

    def luns(self) -> Iterator[tuple[bytes, LunMark]]:
        """All LUNs, by their paths below the top: files at the top and in
        qtrees that are marked.
        """
        yield from self._luns_in(self._top, b"")
        for name, is_directory in _entries(self._top):
            if is_directory and self._marks.read_below(self._top, name, QtreeMark) is not None:
                directory = open_below(self._top, (name,), self._volume.path)
                try:
                    yield from self._luns_in(directory, name + b"/")
                finally:
                    os.close(directory)

    def set_lun(self, parts: Sequence[bytes], mark: LunMark) -> None:
        """Make a file a LUN, or change what it is as one.

        :raises TapekitError: it is deeper than at the top of a volume or
            qtree, or no regular file.
        """
        is_in_qtree = (
            len(parts) == 2 and self._marks.read_below(self._top, parts[0], QtreeMark) is not None
        )
        if len(parts) != 1 and not is_in_qtree:
            raise CATALOGUE.error("lun-too-deep", path=shown(self._volume.path, parts))
        with self.opened(parts) as fd:
            self._marks.write(fd, mark)

    def lun(self, parts: Sequence[bytes]) -> LunMark:
        """What a file is as a LUN.

        :raises TapekitError: it is none.
        """
        with self.opened(parts) as fd:
            mark = self._marks.read(fd, LunMark)
        if mark is None:
            raise CATALOGUE.error("no-lun", path=shown(self._volume.path, parts))
        return mark

    def unset_lun(self, parts: Sequence[bytes]) -> None:
        """Make a LUN a file; its content stays.

        :raises TapekitError: it is none.
        """
        self.lun(parts)
        with self.opened(parts) as fd:
            self._marks.remove(fd, LunMark)

    def align(self, parts: Sequence[bytes]) -> None:
        """Note that a file is laid out as the volume aligns.

        :raises TapekitError: the volume does not, or there is no such file.
        """
        sectors = self._volume.traits.vm_align_sectors
        if not sectors:
            raise CATALOGUE.error("volume-not-aligning", volume=self._volume.path)
        with self.opened(parts) as fd:
            self._marks.write(fd, AlignMark(sectors=sectors))

    def commit(self, parts: Sequence[bytes], until_s: int) -> None:
        """Make a file of a SnapLock volume unchangeable.

        :param until_s: the end of its retention, seconds since 1970.
        :raises TapekitError: the volume is none, the retention would become
            shorter, or the file system cannot.
        """
        self._require_snaplock()
        path = shown(self._volume.path, parts)
        with self.opened(parts) as fd:
            present = self._marks.read(fd, WormMark)
            if present is not None and until_s < present.retained_until_s:
                raise CATALOGUE.error("retention-shortened", path=path)
            status = os.fstat(fd)
            if present is not None:
                _change_flags(fd, off=_IMMUTABLE)
            try:
                self._retain(fd, status, until_s)
            except BaseException:
                if present is None:
                    self._leave(fd, status)
                else:
                    # Whatever failed, its time has not become shorter.
                    _change_flags(fd, on=_IMMUTABLE)
                raise

    def let_go(self, parts: Sequence[bytes], now_s: float) -> None:
        """Make a WORM file changeable again.

        :raises TapekitError: it is none, or its time has not come.
        """
        self._require_snaplock()
        with self.opened(parts) as fd:
            mark = self._worm_mark(fd, parts)
            is_early = now_s < mark.retained_until_s
            if is_early and self._volume.traits.snaplock is not SnapLock.ENTERPRISE:
                raise CATALOGUE.error("file-retained", path=shown(self._volume.path, parts))
            _change_flags(fd, off=_IMMUTABLE)
            self._marks.remove(fd, WormMark)

    def worm(self, parts: Sequence[bytes]) -> WormMark:
        """What a file is as a WORM file.

        :raises TapekitError: it is none.
        """
        with self.opened(parts) as fd:
            return self._worm_mark(fd, parts)

    def _worm_mark(self, fd: int, parts: Sequence[bytes]) -> WormMark:
        mark = self._marks.read(fd, WormMark)
        if mark is None:
            raise CATALOGUE.error("no-worm-file", path=shown(self._volume.path, parts))
        return mark

    def _retain(self, fd: int, status: os.stat_result, until_s: int) -> None:
        """Make an open file a WORM file."""
        self._marks.write(fd, WormMark(retained_until_s=until_s))
        os.fchmod(fd, stat.S_IMODE(status.st_mode) & ~_WRITABLE)
        os.utime(fd, ns=(until_s * 1_000_000_000, status.st_mtime_ns))
        _change_flags(fd, on=_IMMUTABLE)

    def _leave(self, fd: int, status: os.stat_result) -> None:
        """Undo what has been done of that."""
        # Users' attributes can be removed only from writable files.
        os.fchmod(fd, stat.S_IMODE(status.st_mode))
        if self._marks.read(fd, WormMark) is not None:
            self._marks.remove(fd, WormMark)

    def _require_snaplock(self) -> None:
        if self._volume.traits.snaplock is SnapLock.NONE:
            raise CATALOGUE.error("no-snaplock-volume", volume=self._volume.path)

    def _luns_in(self, directory: int, begin: bytes) -> Iterator[tuple[bytes, LunMark]]:
        for name, is_directory in _entries(directory):
            mark = None if is_directory else self._marks.read_below(directory, name, LunMark)
            if mark is not None:
                yield begin + name, mark


def _entries(directory: int) -> list[tuple[bytes, bool]]:
    """Names of files and directories, sorted, and which of them are the latter."""
    with os.scandir(directory) as entries:
        return sorted(
            (os.fsencode(each.name), each.is_dir(follow_symlinks=False))
            for each in entries
            if not each.is_symlink()
        )


def _change_flags(fd: int, *, on: int = 0, off: int = 0) -> None:
    word = bytearray(_FLAG_WORD.size)
    fcntl.ioctl(fd, _GET_FLAGS, word)
    (present,) = _FLAG_WORD.unpack(word)
    fcntl.ioctl(fd, _SET_FLAGS, _FLAG_WORD.pack(present & ~off | on))

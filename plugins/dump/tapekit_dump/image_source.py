"""The bytes of a dump image, from a file, a device or a pipe.

A file is given as extents, so that what nobody asks for is passed over and
never read; everything else is read as it comes. The beginning is looked at
first, since the usual mistake is a file that was compressed as a whole. The
one rule: an image is only ever read, and forwards.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from typing import TYPE_CHECKING, Final, final

from tapekit.segments import BUFFER_BYTES, Batch, Extent
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["STANDARD_INPUT", "ImageSource", "open_image"]

STANDARD_INPUT: Final = "-"
"""The name that stands for the pipe before the program."""

_EXTENT_BYTES: Final = 8 << 20

_WRAPPED: Final = (
    (b"\x1f\x8b", "gzip", "gzip -dc"),
    (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (b"\xfd7zXZ\0", "xz", "xz -dc"),
    (b"BZh", "bzip2", "bzip2 -dc"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
)
"""How files begin that were compressed as a whole, and what undoes it."""

_MAGIC_AT: Final = slice(24, 28)
_OTHER_FORMS: Final = {
    number.to_bytes(4, order): form
    for number, form in (
        (60011, "the form of before 4.2BSD, with inode numbers of 16 bits"),
        (60013, "the form of illumos for more than two terabytes"),
    )
    for order in ("little", "big")
}
"""Magic numbers of dumps that are told from other files, but not read."""


@final
class ImageSource:
    """Gives an image as batches; see :class:`tapekit.segments.DataSource`.

    :param fd: open for reading; the image begins where it stands.
    :param unreadable: hears of parts of a file that cannot be read: offset,
        length, why. Other sources raise the error.
    """

    def __init__(self, fd: int, unreadable: Callable[[int, int, OSError], None]) -> None:
        self._fd: Final = fd
        self._unreadable: Final = unreadable
        status = os.fstat(fd)
        self._start: Final = os.lseek(fd, 0, os.SEEK_CUR) if stat.S_ISREG(status.st_mode) else 0
        self.length: Final = (
            max(0, status.st_size - self._start) if stat.S_ISREG(status.st_mode) else None
        )
        """Bytes in all, if the image is a file."""
        self.position = 0
        """Bytes given so far."""
        self.moved: Callable[[int], None] | None = None
        """Hears of :attr:`position` as it grows."""
        self._held = b"" if self.length is not None else os.read(fd, BUFFER_BYTES)

    @property
    def beginning(self) -> bytes:
        """The first record, or as much of it as came at once; before
        anything is taken.
        """
        if self.length is None:
            return self._held[:RECORD_BYTES]
        return os.pread(self._fd, RECORD_BYTES, self._start)

    def get(self) -> Batch | None:
        """See :meth:`tapekit.segments.DataSource.get`.

        :raises OSError: a pipe or device cannot be read.
        """
        if self.moved is not None:
            self.moved(self.position)
        batch = self._read() if self.length is None else self._extent(self.length)
        if batch is not None:
            self.position += batch.length
        return batch

    def _extent(self, length: int) -> Batch | None:
        here = min(_EXTENT_BYTES, length - self.position)
        if not here:
            return None
        extent = Extent(self._fd, self._start + self.position, here, self._tell_unreadable)
        return Batch((extent,), here)

    def _tell_unreadable(self, offset: int, length: int, error: OSError) -> None:
        self._unreadable(offset - self._start, length, error)

    def _read(self) -> Batch | None:
        data = self._held or os.read(self._fd, BUFFER_BYTES)
        self._held = b""
        return Batch((memoryview(data),), len(data)) if data else None


@contextlib.contextmanager
def open_image(name: str, unreadable: Callable[[int, int, OSError], None]) -> Iterator[ImageSource]:
    """Open an image by its name, ``-`` for standard input.

    :raises TapekitError: it cannot be opened, or begins as something that
        is told from a dump at once.
    """
    with contextlib.ExitStack() as stack:
        try:
            if name == STANDARD_INPUT:
                # Without a standard input there is no file object either.
                fd = 0 if sys.stdin is None else sys.stdin.fileno()
            else:
                fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
            source = ImageSource(fd, unreadable)
            beginning = source.beginning
        except OSError as error:
            raise CATALOGUE.error(
                "image-not-opened", path=name, reason=error.strerror or str(error)
            ) from error
        _refuse_other_forms(name, beginning)
        yield source


def _refuse_other_forms(name: str, beginning: bytes) -> None:
    for magic, form, command in _WRAPPED:
        if beginning.startswith(magic):
            raise CATALOGUE.error("image-wrapped", path=name, form=form, command=command)
    if (other := _OTHER_FORMS.get(beginning[_MAGIC_AT])) is not None:
        raise CATALOGUE.error("image-of-other-form", path=name, form=other)

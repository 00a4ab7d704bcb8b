"""An image against a directory: what is other there, name by name.

Type, permissions, owner, time of modification, target, device number, links,
extended attributes and every byte of content are compared; what only the
directory has is not looked for. The one rule: the directory is only ever read, and never through
a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from typing import TYPE_CHECKING, Final, final

from tapekit.marks import is_mark
from tapekit_dump.attributes import decode_set
from tapekit_dump.backup_report import readable
from tapekit_dump.errors import CATALOGUE
from tapekit_dump.headers import RECORD_BYTES
from tapekit_dump.image_listing import device_numbers, kind_of, path_of, time_text
from tapekit_dump.posix_acl import ACCESS_ACL, minimal_acl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.errors import TapekitError
    from tapekit_dump.headers import Header
    from tapekit_dump.image_walk import Member
    from tapekit_dump.recover_catalogue import Place
    from tapekit_dump.recover_places import Places
    from tapekit_dump.recover_selection import View
    from tapekit_dump.recover_volumes import RecordStream

__all__ = ["Comparison"]

_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ITSELF: Final = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP_BYTES: Final = 1 << 20
_SECOND_NS: Final = 10**9
_MICROSECOND_NS: Final = 1000
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})


@final
class Comparison:
    """Takes the content of objects and compares it; hears of each member
    when its content has been taken.

    :param places: the directory, by the image's directories.
    :param view: the whole image in that directory.
    :param differ: hears of each difference.
    """

    def __init__(self, places: Places, view: View, differ: Callable[[TapekitError], None]) -> None:
        self._places: Final = places
        self._view: Final = view
        self._differ: Final = differ
        self.count = 0
        """Differences so far."""
        self._first = (0, 0)
        self._fd = -1
        self._difference: int | None = None
        self._compared = 0
        self._size = 0

    # As a taker of content

    def begin(self, header: Header, places: Sequence[Place]) -> None:
        """See :meth:`ContentTaker.begin`."""
        self.close()
        self._difference, self._compared, self._size = None, 0, header.size
        if places and stat.S_ISREG(header.mode):
            # What cannot be opened is told when its member comes.
            with contextlib.suppress(OSError):
                place = places[0]
                directory = self._places.descriptor(place.view, place.directory)
                self._fd = _open_regular(place.name, directory)

    def take(self, stream: RecordStream, present: bytes, offset: int) -> None:
        """See :meth:`ContentTaker.take`."""
        for is_data, group in itertools.groupby(present, bool):
            length = sum(1 for _ in group) * RECORD_BYTES
            data = stream.take(length) if is_data else memoryview(bytes(length))
            self._compare(data[: max(0, self._size - offset)], offset)
            offset += length
        self._compared = min(offset, self._size)

    def close(self) -> None:
        """Let go of the file that is being compared."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _compare(self, data: memoryview, offset: int) -> None:
        if self._fd < 0 or self._difference is not None or not data:
            return
        try:
            found = os.pread(self._fd, len(data), offset)
        except OSError:
            self._difference = offset
            return
        if found != data:
            self._difference = offset + _first_difference(found, data)

    # As a judge of members

    def judge(self, member: Member) -> None:
        """Compare a member whose content has been taken."""
        try:
            status = self._status(member)
        except OSError as error:
            self._tell(member, f"cannot be looked at: {error.strerror}")
            return
        wanted = member.attributes.mode
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(wanted):
            self._tell(member, f"is a {kind_of(status.st_mode)}, in the image a {kind_of(wanted)}")
            return
        self._judge_attributes(member, status)
        if member.sets and member.first_name is None:
            self._judge_extended(member)
        if member.target is not None:
            self._judge_target(member)
        if member.first_name is not None:
            self._judge_link(member, member.first_name, status)
        else:
            self._first = status.st_dev, status.st_ino
            if stat.S_ISREG(wanted):
                self._judge_content(member, status)

    def _status(self, member: Member) -> os.stat_result:
        directory = self._places.descriptor(self._view, member.directory)
        if stat.S_ISDIR(member.attributes.mode):
            return os.fstat(directory)
        return os.stat(_name_of(member), dir_fd=directory, follow_symlinks=False)

    def _judge_attributes(self, member: Member, status: os.stat_result) -> None:
        attributes, mode = member.attributes, stat.S_IMODE(status.st_mode)
        if mode != attributes.permissions:
            self._tell(member, f"has mode {mode:04o}, in the image {attributes.permissions:04o}")
        found, wanted = (status.st_uid, status.st_gid), (attributes.uid, attributes.gid)
        if found != wanted:
            texts = (f"{user}/{group}" for user, group in (found, wanted))
            self._tell(member, "belongs to {}, in the image to {}".format(*texts))
        if not _is_same_time(status.st_mtime_ns, attributes.mtime_ns):
            texts = (_precise(time_ns) for time_ns in (status.st_mtime_ns, attributes.mtime_ns))
            self._tell(member, "was modified at {}, in the image at {}".format(*texts))
        if stat.S_IFMT(attributes.mode) in _DEVICES:
            numbers = os.major(status.st_rdev), os.minor(status.st_rdev)
            if numbers != (there := device_numbers(member.device)):
                self._tell(member, f"is device {numbers}, in the image {there}")

    def _judge_extended(self, member: Member) -> None:
        directory = self._places.descriptor(self._view, member.directory)
        is_directory = stat.S_ISDIR(member.attributes.mode)
        fd = os.open(b"." if is_directory else _name_of(member), _ITSELF, dir_fd=directory)
        try:
            for name, wanted in _wanted_attributes(member.sets):
                found = _attribute(f"/proc/self/fd/{fd}", name)
                if found != wanted:
                    what = "has another" if found is not None else "lacks the"
                    self._tell(member, f"{what} attribute {readable(os.fsencode(name))}")
        finally:
            os.close(fd)

    def _judge_target(self, member: Member) -> None:
        directory = self._places.descriptor(self._view, member.directory)
        target = os.readlink(_name_of(member), dir_fd=directory)
        if target != member.target:
            found, wanted = readable(target), readable(member.target or b"")
            self._tell(member, f"points to {found}, in the image to {wanted}")

    def _judge_link(self, member: Member, first_name: bytes, status: os.stat_result) -> None:
        if self._first != (status.st_dev, status.st_ino):
            self._tell(member, f"is no hard link to {readable(first_name)}, as in the image")

    def _judge_content(self, member: Member, status: os.stat_result) -> None:
        if status.st_size != member.size:
            self._tell(member, f"has {status.st_size} bytes, in the image {member.size}")
        elif self._fd < 0:
            self._tell(member, "cannot be opened to be compared")
        elif member.is_complete:
            if self._difference is None:
                self._difference = _first_data(self._fd, self._compared)
            if self._difference is not None:
                self._tell(member, f"has other content from byte {self._difference} on")

    def _tell(self, member: Member, what: str) -> None:
        self.count += 1
        self._differ(CATALOGUE.error("image-differs", path=path_of(member), what=what))


def _wanted_attributes(sets: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """The attributes that a restore of an image sets, but marks, which it judges."""
    for blob in sets:
        for name, value in decode_set(blob)[0].items():
            says_what_the_mode_says = name == ACCESS_ACL and value == minimal_acl(value)
            if not is_mark(name) and not says_what_the_mode_says:
                yield name, value


def _attribute(path: str, name: str) -> bytes | None:
    """The value of an attribute; ``None`` if it cannot be had."""
    try:
        return os.getxattr(path, name)
    except OSError:
        return None


def _open_regular(name: bytes, directory: int) -> int:
    fd = os.open(name, _OPEN, dir_fd=directory)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return -1


def _name_of(member: Member) -> bytes:
    return member.path.rpartition(b"/")[2]


def _first_difference(found: bytes, wanted: memoryview) -> int:
    """The first byte in which two texts differ, of which one may be shorter."""
    pairs = enumerate(zip(found, wanted, strict=False))
    return next((at for at, (one, other) in pairs if one != other), len(found))


def _first_data(fd: int, offset: int) -> int | None:
    """The first byte from an offset on that is not zero: an image ends a
    file in a hole by saying nothing of it.
    """
    try:
        while True:
            offset = os.lseek(fd, offset, os.SEEK_DATA)
            data = os.pread(fd, _STEP_BYTES, offset)
            if (rest := data.lstrip(b"\0")) or not data:
                return offset + len(data) - len(rest) if rest else None
            offset += len(data)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        return offset


def _is_same_time(found_ns: int, wanted_ns: int) -> bool:
    """Whether times are equal as far as the dump tells them: some programs
    leave microseconds out.
    """
    unit = _MICROSECOND_NS if wanted_ns % _SECOND_NS else _SECOND_NS
    return found_ns // unit == wanted_ns // unit


def _precise(time_ns: int) -> str:
    seconds, rest = divmod(time_ns, _SECOND_NS)
    return f"{time_text(seconds)} and {rest // _MICROSECOND_NS} us"

"""How the members of an image are shown: as lines, and as rows of JSON.

Lines follow ``tar -tv``; names that a terminal would take for control
characters are escaped in both forms. The one rule: a listing is made member
by member, so that its length costs no memory.
"""

from __future__ import annotations

import datetime as dt
import fnmatch
import os
import re
import stat
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_dump.backup_report import readable
from tapekit_dump.image_attributes import ObjectAttributes, attribute_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tapekit_dump.image_walk import Member

__all__ = [
    "Patterns",
    "Row",
    "device_numbers",
    "extended_lines",
    "kind_of",
    "long_line",
    "path_of",
    "row_of",
    "time_text",
]

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symbolic link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}
_DEVICES: Final = frozenset({stat.S_IFCHR, stat.S_IFBLK})


class Row(msgspec.Struct, frozen=True):
    """A member as ``--json`` prints it."""

    path: str
    """Bytes that are no UTF-8 or would control a terminal, as ``\\xHH``."""
    kind: str
    mode: str
    """Permissions in octal digits."""
    uid: int
    gid: int
    size: int
    mtime_s: float
    inode: int
    link_to: str | None
    """The first name of an object with several, for the others."""
    target: str | None
    """Of a symbolic link."""
    device: tuple[int, int] | None
    """Major and minor number."""
    is_complete: bool
    extended: ObjectAttributes


@final
class Patterns:
    """Chooses members by their paths; without a pattern, all.

    A pattern is a path, with ``*``, ``?`` and ``[...]`` for any characters,
    the slash included; it chooses what is below as well.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        wanted = [each for given in patterns for each in _variants(_trimmed(given))]
        expression = "|".join(fnmatch.translate(each) for each in wanted)
        self._match: Final = re.compile(expression).match if wanted else None

    def choose(self, path: bytes) -> bool:
        """Whether a path is chosen."""
        return self._match is None or self._match(os.fsdecode(path)) is not None


def _trimmed(pattern: str) -> str:
    """A pattern as paths are: without slashes at its ends."""
    while pattern.startswith(("./", "/")):
        pattern = pattern.partition("/")[2]
    return "" if pattern == "." else pattern.rstrip("/")


def _variants(pattern: str) -> Iterable[str]:
    return (pattern, f"{pattern}/*") if pattern else ("*",)


def kind_of(mode: int) -> str:
    """What a mode makes of an object, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "unknown")


def path_of(member: Member) -> str:
    """The path of a member, as it is shown."""
    return readable(member.path) if member.path else "."


def long_line(member: Member) -> str:
    """A member with its attributes."""
    attributes = member.attributes
    mode = stat.filemode(attributes.mode) + ("+" if member.extended.has_acl else "")
    text = path_of(member)
    if member.first_name is not None:
        mode = "h" + mode[1:]
        text += f" link to {readable(member.first_name)}"
    if member.target is not None:
        text += f" -> {readable(member.target)}"
    if not member.is_complete:
        text += " (incomplete)"
    size = str(member.size)
    if stat.S_IFMT(attributes.mode) in _DEVICES:
        size = "{},{}".format(*device_numbers(member.device))
    owner = f"{attributes.uid}/{attributes.gid}"
    return f"{mode} {owner:<11} {size:>12} {time_text(attributes.mtime_ns // 10**9)} {text}"


def extended_lines(member: Member) -> Iterator[str]:
    """What stands below a member's line: the time of creation, ACLs, streams
    and other extended attributes.
    """
    created = member.extended.created_s
    if created is not None:
        yield f"    created {time_text(int(created))}"
    for line in attribute_lines(member.extended):
        yield f"    {line}"


def row_of(member: Member) -> Row:
    """A member for programs."""
    attributes = member.attributes
    is_device = stat.S_IFMT(attributes.mode) in _DEVICES
    return Row(
        path=path_of(member),
        kind=kind_of(attributes.mode),
        mode=f"{attributes.permissions:04o}",
        uid=attributes.uid,
        gid=attributes.gid,
        size=member.size,
        mtime_s=attributes.mtime_ns / 10**9,
        inode=member.inode,
        link_to=None if member.first_name is None else readable(member.first_name),
        target=None if member.target is None else readable(member.target),
        device=device_numbers(member.device) if is_device else None,
        is_complete=member.is_complete,
        extended=member.extended,
    )


def device_numbers(number: int) -> tuple[int, int]:
    """Major and minor number of a device as dumps have it."""
    return number >> 8 & 0xFFF, number & 0xFF | number >> 12 & 0xFFF00


def time_text(seconds: int) -> str:
    """A time in UTC, or the bare number if no calendar has it."""
    try:
        return f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%d %H:%M:%S}Z"
    except (OverflowError, OSError, ValueError):
        return str(seconds)

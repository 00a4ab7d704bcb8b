"""Paths as backup applications write them: /vserver/volume[/path].

Text is taken apart and checked here, before anything is looked up; bytes
that are not UTF-8 arrive as surrogate escapes and leave as bytes. The one
rule: what leaves this module holds no empty part and no ``.`` or ``..``.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from tapekit_volumes.errors import CATALOGUE

__all__ = ["SNAPSHOT_FOLDER", "VolumePath", "is_copy_name", "is_volume_name", "parse_path"]

SNAPSHOT_FOLDER: Final = ".snapshot"
"""The name at the top of every volume below which its Snapshot copies are."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,202}", re.ASCII)
"""An SVM, volume or Snapshot copy: at most 203 characters, as on the storage
systems that the guide is about, and nothing that a shell would change."""


class VolumePath(NamedTuple):
    """A path, taken apart."""

    volume: str
    """``/vserver/volume``."""
    snapshot: str | None
    """The Snapshot copy that the path goes through."""
    parts: tuple[bytes, ...]
    """The rest, below the top of the volume or of the copy."""

    @property
    def subpath(self) -> str:
        """The rest as text, without slashes at the ends."""
        return b"/".join(self.parts).decode("utf-8", "surrogateescape")


def is_volume_name(path: str) -> bool:
    """Whether a text is the name of a volume: /vserver/volume."""
    empty, *names = path.split("/")
    return empty == "" and len(names) == 2 and all(map(_NAME.fullmatch, names))


def is_copy_name(name: str) -> bool:
    """Whether a text can be the name of a Snapshot copy."""
    return _NAME.fullmatch(name) is not None


def parse_path(text: str) -> VolumePath:
    """Take a path apart.

    :raises TapekitError: it has not the form of a path, or climbs with ``..``.
    """
    names = [name for name in text.split("/") if name not in {"", "."}]
    volume = "/" + "/".join(names[:2])
    if not text.startswith("/") or not is_volume_name(volume):
        raise CATALOGUE.error("bad-path", path=_shown(text))
    if ".." in names:
        raise CATALOGUE.error("path-climbs", path=_shown(text))
    snapshot, rest = None, names[2:]
    if rest[:1] == [SNAPSHOT_FOLDER]:
        snapshot, rest = _copy_name(text, volume, rest[1:2]), rest[2:]
    return VolumePath(volume, snapshot, _parts(text, rest))


def _copy_name(text: str, volume: str, names: list[str]) -> str:
    if not names or not is_copy_name(names[0]):
        raise CATALOGUE.error("no-copy-named", path=_shown(text), volume=volume)
    return names[0]


def _parts(text: str, names: list[str]) -> tuple[bytes, ...]:
    try:
        parts = tuple(name.encode("utf-8", "surrogateescape") for name in names)
    except UnicodeEncodeError:
        raise CATALOGUE.error("bad-path", path=_shown(text)) from None
    if any(b"\0" in part for part in parts):
        raise CATALOGUE.error("bad-path", path=_shown(text))
    return parts


def _shown(text: str) -> str:
    """A path for messages: what no terminal can show as escapes."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")

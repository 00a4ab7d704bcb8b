"""Index files that NDMJOB writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def names_in(index: Path) -> set[bytes]:
    """The names of directory entries, whose lines are ``DHd PARENT NAME UNIX
    NODE`` with odd bytes as ``%xx``.
    """
    names = set()
    for line in index.read_bytes().splitlines():
        kind, *words = line.split(b" ")
        if kind == b"DHd":
            escaped = re.sub(
                rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), words[1]
            )
            names.add(escaped)
    return names


def media_in(index: Path) -> list[str]:
    """The media of the image in their order, such as ``T1+1/5M@1024``."""
    lines = index.read_text(errors="surrogateescape").splitlines()
    return [line.split()[2] for line in lines if line.startswith("CM ")]

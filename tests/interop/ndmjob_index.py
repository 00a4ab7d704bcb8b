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
    lines = [line.split(b" ") for line in index.read_bytes().splitlines()]
    return {_unescaped(words[2]) for words in lines if words[0] == b"DHd"}


def files_in(index: Path) -> dict[bytes, frozenset[bytes]]:
    """What is said of each path, whose lines are ``DHf PATH UNIX WORD...``: a
    letter and a value in each word, such as ``f-``, ``s5000`` and ``@9216``.
    """
    lines = [line.split(b" ") for line in index.read_bytes().splitlines()]
    return {_unescaped(words[1]): frozenset(words[3:]) for words in lines if words[0] == b"DHf"}


def _unescaped(word: bytes) -> bytes:
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), word)


def media_in(index: Path) -> list[str]:
    """The media of the image in their order, such as ``T1+1/5M@1024``."""
    lines = index.read_text(errors="surrogateescape").splitlines()
    return [line.split()[2] for line in lines if line.startswith("CM ")]

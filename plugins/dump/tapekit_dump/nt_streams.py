"""NT streams as Samba keeps them: ``user.DosStream.NAME:$DATA``.

Each alternate data stream of a file is one extended attribute; its value is
the stream and one byte more, since not all file systems keep empty values.
The one rule: names of streams are names of attributes, and nothing else.
"""

from __future__ import annotations

from typing import Final

__all__ = ["STREAM_PREFIX", "stream_length", "stream_name"]

STREAM_PREFIX: Final = "user.DosStream."
_DATA: Final = ":$DATA"


def stream_name(attribute: str) -> str | None:
    """The name of the stream that an attribute holds, ``None`` if it holds
    none.
    """
    if not attribute.startswith(STREAM_PREFIX):
        return None
    name = attribute.removeprefix(STREAM_PREFIX).removesuffix(_DATA)
    return name or None


def stream_length(value: bytes) -> int:
    """The length of the stream in an attribute's value, in bytes."""
    return max(0, len(value) - 1)

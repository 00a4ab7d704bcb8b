"""What all readers of SCSI data raise, and how they take bytes apart.

The one rule: whatever bytes come from a device or from a client, nothing but
:class:`Malformed` leaves a reader.
"""

from __future__ import annotations

__all__ = ["Malformed", "at_least", "number"]


class Malformed(Exception):
    """The bytes are not what they should be; the text says why in a few words."""


def at_least(data: bytes, count: int, what: str) -> None:
    """Refuse data that is too short.

    :raises Malformed: naming ``what``.
    """
    if len(data) < count:
        raise Malformed(f"{what} has {len(data)} bytes, fewer than {count}")


def number(data: bytes, start: int, length: int) -> int:
    """An unsigned number of ``length`` bytes, high byte first, as all of SCSI's."""
    return int.from_bytes(data[start : start + length], "big")

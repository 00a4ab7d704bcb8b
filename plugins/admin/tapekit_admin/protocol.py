"""The lines of the management protocol: one call, then what answers it.

A connection is one call: the caller sends a line of JSON and reads lines
until the one that says ``reply``, ``end`` or ``error``; hanging up ends what
was asked for. The one rule: a line that is longer than its limit is refused
before it is kept.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

__all__ = [
    "ANSWER_BYTES",
    "CALL_BYTES",
    "PROTOCOL_VERSION",
    "Answer",
    "Call",
    "End",
    "Failed",
    "Item",
    "Reply",
    "line",
]

PROTOCOL_VERSION: Final = 1

CALL_BYTES: Final = 1 << 20
"""Longest call, its newline included."""

ANSWER_BYTES: Final = 16 << 20
"""Longest answer, its newline included."""


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller wants."""

    version: int
    operation: str
    privilege: str = "admin"
    request: msgspec.Raw = msgspec.Raw(b"{}")


class Reply(msgspec.Struct, frozen=True, tag_field="kind", tag="reply"):
    """The operation was performed; the last line."""

    value: msgspec.Raw


class Item(msgspec.Struct, frozen=True, tag_field="kind", tag="item"):
    """One item of a feed; more follow."""

    value: msgspec.Raw


class End(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    """The feed has ended; the last line."""


class Failed(msgspec.Struct, frozen=True, tag_field="kind", tag="error"):
    """The operation was not performed, or broke off; the last line."""

    id: str
    """What ``tapekit explain`` takes."""
    message: str
    action: str


Answer: TypeAlias = Reply | Item | End | Failed


def line(message: Call | Answer) -> bytes:
    """A message as its line."""
    # In JSON a newline is never but a blank; a raw value may have some.
    return msgspec.json.encode(message).replace(b"\n", b" ") + b"\n"

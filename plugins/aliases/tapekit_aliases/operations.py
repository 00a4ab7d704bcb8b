"""What an administrator can ask of aliases in a running stack.

The one rule: addresses go as text, in the forms that the guide has.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation

__all__ = [
    "CLEAR",
    "SET",
    "SHOW",
    "AliasChange",
    "AliasRow",
    "Aliases",
    "ClearRequest",
    "Scope",
    "SetRequest",
]


class Scope(enum.StrEnum):
    """Which aliases are cleared together."""

    TAPE = "tape"
    MEDIA_CHANGER = "media-changer"
    ALL = "all"


class AliasRow(msgspec.Struct, frozen=True, kw_only=True):
    """One alias."""

    alias: str
    mapping: str
    """A serial number or a physical path name."""
    physical_path: str
    """Where the device is; empty while none is attached."""


class Aliases(msgspec.Struct, frozen=True):
    """The aliases of a node."""

    node: str
    aliases: tuple[AliasRow, ...]


class SetRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An alias to set."""

    alias: str
    mapping: str
    node: str | None = None
    """The node's name, or ``local``; any if not given."""


class ClearRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Aliases to clear: one, or those of a scope."""

    alias: str | None = None
    scope: Scope | None = None
    node: str | None = None
    """See :attr:`SetRequest.node`."""


class AliasChange(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a change."""

    set: AliasRow | None = None
    cleared: tuple[str, ...] = ()
    """Aliases that are no more; when one was set, others of the same device."""


SHOW: Final = Operation(
    name="aliases.show",
    summary="List the aliases of tape drives and media changers",
    request=NoRequest,
    reply=Aliases,
)
SET: Final = Operation(
    name="aliases.set",
    summary="Bind an alias to a serial number or a physical path name",
    request=SetRequest,
    reply=AliasChange,
)
CLEAR: Final = Operation(
    name="aliases.clear",
    summary="Remove an alias, or all of a scope",
    request=ClearRequest,
    reply=AliasChange,
)

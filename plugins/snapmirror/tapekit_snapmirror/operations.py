"""What an administrator can ask of relationships in a running stack."""

from __future__ import annotations

from typing import Final

import msgspec

from tapekit.hookspecs.operations import NoReply, NoRequest, Operation
from tapekit_snapmirror.relationships import Relationship, RelationshipKind, Step

__all__ = [
    "ABORT",
    "BREAK",
    "CREATE",
    "DELETE",
    "SHOW",
    "TRANSFER",
    "WAIT",
    "CreateRequest",
    "DestinationRequest",
    "RelationshipRows",
    "TransferRequest",
]


class CreateRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new relationship."""

    source: str
    destination: str
    kind: RelationshipKind = RelationshipKind.MIRROR


class DestinationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The relationship of a destination."""

    destination: str


class TransferRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A transfer that is to begin."""

    destination: str
    step: Step
    seeded: bool = False
    """Whether the first transfer follows a copy that was restored from tape."""
    may_discard: bool = False
    """Whether a vault may lose copies that its source has no more."""


class RelationshipRows(msgspec.Struct, frozen=True):
    """The relationships of a stack."""

    relationships: tuple[Relationship, ...]


CREATE: Final = Operation(
    name="snapmirror.create",
    summary="Make a relationship between two volumes",
    request=CreateRequest,
    reply=Relationship,
)
SHOW: Final = Operation(
    name="snapmirror.show",
    summary="Tell which relationships there are, and how they stand",
    request=NoRequest,
    reply=RelationshipRows,
)
TRANSFER: Final = Operation(
    name="snapmirror.transfer",
    summary="Begin a transfer",
    request=TransferRequest,
    reply=Relationship,
)
WAIT: Final = Operation(
    name="snapmirror.wait",
    summary="Wait until no transfer of a relationship runs",
    request=DestinationRequest,
    reply=Relationship,
)
ABORT: Final = Operation(
    name="snapmirror.abort",
    summary="End a transfer before its time",
    request=DestinationRequest,
    reply=Relationship,
)
BREAK: Final = Operation(
    name="snapmirror.break",
    summary="Make a destination a read/write volume",
    request=DestinationRequest,
    reply=Relationship,
)
DELETE: Final = Operation(
    name="snapmirror.delete",
    summary="Forget a relationship",
    request=DestinationRequest,
    reply=NoReply,
)

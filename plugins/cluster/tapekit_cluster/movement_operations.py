"""What an administrator, or a cluster manager, can ask about movements of storage.

A movement has a beginning and an end, and the storage moves between the two:
by whoever runs the cluster, not by tapekit.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

import msgspec

from tapekit.hookspecs.operations import NoRequest, Operation, Privilege

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BEGIN_MOVEMENT",
    "DOMAINS",
    "END_MOVEMENT",
    "MOVEMENTS",
    "AggregateRow",
    "Domain",
    "Movement",
    "MovementBegin",
    "MovementBegun",
    "MovementEnd",
    "MovementKind",
    "Movements",
]


class Domain(enum.Enum):
    """What has one movement at a time."""

    FAILOVER = "failover"
    RELOCATION = "relocation"
    METROCLUSTER = "metrocluster"


class MovementKind(enum.Enum):
    """A movement, in the words of messages."""

    TAKEOVER = "storage failover takeover"
    GIVEBACK = "storage failover giveback"
    RELOCATION = "aggregate relocation"
    SWITCHOVER = "MetroCluster switchover"
    SWITCHBACK = "MetroCluster switchback"

    @property
    def domain(self) -> Domain:
        """Where no other movement can be on at the same time."""
        return DOMAINS[self]


DOMAINS: Final[Mapping[MovementKind, Domain]] = MappingProxyType(
    {
        MovementKind.TAKEOVER: Domain.FAILOVER,
        MovementKind.GIVEBACK: Domain.FAILOVER,
        MovementKind.RELOCATION: Domain.RELOCATION,
        MovementKind.SWITCHOVER: Domain.METROCLUSTER,
        MovementKind.SWITCHBACK: Domain.METROCLUSTER,
    }
)


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that is on."""

    kind: MovementKind
    node: str
    """The node whose storage moves; empty for a MetroCluster operation."""
    destination: str = ""
    """Where it moves to, if that was told."""
    aggregates: tuple[str, ...]
    """The aggregates of this stack that are moved."""
    is_automatic: bool = False
    """Whether nobody asked for it: the cluster manager began it by itself."""
    overrides: bool = False
    """Whether it aborted jobs rather than being stopped by them."""
    began_s: float
    """In seconds since 1970."""


class MovementBegin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A movement that is to begin."""

    kind: MovementKind
    node: str = ""
    destination: str = ""
    aggregates: tuple[str, ...] = ()
    """Those of a relocation."""
    overrides: bool = False
    is_automatic: bool = False
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0
    """How long aborted jobs may take to let go of their volumes."""


class MovementBegun(msgspec.Struct, frozen=True, kw_only=True):
    """A movement that is on, with no job in its way any more."""

    movement: Movement
    aborted: tuple[str, ...]
    """The jobs that were aborted for it."""


class MovementEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The movement that is over."""

    domain: Domain
    is_complete: bool
    """Whether the storage has moved; else it is where it was."""


class AggregateRow(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregate of this stack."""

    name: str
    ha_policy: str
    node: str
    """Where it is."""
    volumes: tuple[str, ...]


class Movements(msgspec.Struct, frozen=True, kw_only=True):
    """What moves, and what there is to move."""

    movements: tuple[Movement, ...]
    aggregates: tuple[AggregateRow, ...]
    jobs: tuple[str, ...]
    """The jobs of volumes that run, which movements meet."""


BEGIN_MOVEMENT: Final = Operation(
    name="cluster.begin-movement",
    summary="get jobs out of the way of storage that is about to move",
    request=MovementBegin,
    reply=MovementBegun,
    privilege=Privilege.ADVANCED,
)
END_MOVEMENT: Final = Operation(
    name="cluster.end-movement",
    summary="let jobs in again after a movement",
    request=MovementEnd,
    reply=Movement,
    privilege=Privilege.ADVANCED,
)
MOVEMENTS: Final = Operation(
    name="cluster.movements",
    summary="list movements of storage, and aggregates",
    request=NoRequest,
    reply=Movements,
)

"""What an administrator can ask of a node's place in its cluster."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from tapekit.hookspecs.operations import NoReply, NoRequest, Operation

__all__ = [
    "ALLOW",
    "LIFS",
    "MOVE_LIF",
    "SCOPE",
    "SET_SCOPE",
    "LifMove",
    "LifRow",
    "Lifs",
    "ProtocolChange",
    "Scope",
    "ScopeChange",
]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class ScopeChange(_Request, frozen=True, kw_only=True):
    """Which NDMP mode the node is to have."""

    is_node_scoped: bool


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The NDMP mode of the node."""

    node: str
    is_node_scoped: bool


class ProtocolChange(_Request, frozen=True, kw_only=True):
    """Whether an SVM has NDMP among its allowed protocols."""

    vserver: str
    is_allowed: bool


class LifRow(msgspec.Struct, frozen=True, kw_only=True):
    """A logical interface."""

    vserver: str
    lif: str
    role: str
    status: Literal["up", "down"]
    """As the administrator wants it."""
    addresses: tuple[str, ...]
    current_node: str
    is_home: bool
    permits_ndmp: bool
    """Whether its firewall policy does."""


class Lifs(msgspec.Struct, frozen=True):
    """The logical interfaces of this node."""

    lifs: tuple[LifRow, ...]


class LifMove(_Request, frozen=True, kw_only=True):
    """What is to become of a logical interface; one of the two at most."""

    lif: str
    vserver: str | None = None
    """Its SVM, if it is to be checked."""
    node: str | None = None
    """The node it was migrated to; its home brings it back."""
    is_down: bool = False


SCOPE: Final = Operation(
    name="cluster.scope",
    summary="show the NDMP mode of the node",
    request=NoRequest,
    reply=Scope,
)
SET_SCOPE: Final = Operation(
    name="cluster.set-scope",
    summary="set the NDMP mode of the node",
    request=ScopeChange,
    reply=NoReply,
)
ALLOW: Final = Operation(
    name="cluster.allow",
    summary="allow NDMP for an SVM, or not",
    request=ProtocolChange,
    reply=NoReply,
)
LIFS: Final = Operation(
    name="cluster.lifs",
    summary="list the logical interfaces",
    request=NoRequest,
    reply=Lifs,
)
MOVE_LIF: Final = Operation(
    name="cluster.move-lif",
    summary="migrate a logical interface, take it down or bring it back",
    request=LifMove,
    reply=NoReply,
)

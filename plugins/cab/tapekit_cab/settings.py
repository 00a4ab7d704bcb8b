"""The settings of Cluster Aware Backup."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["CabSettings", "NodeSettings"]

_Word = Annotated[str, msgspec.Meta(min_length=1)]


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table ``[[cab.node]]``: another node, and how this one logs in there."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[\w.-]+\Z", max_length=64)]
    """What the node calls itself: the setting node at the top of its stack file."""
    address: _Word
    """Where it takes control connections, as HOST:PORT; its data connections
    for sessions of this node are made from there."""
    user: _Word
    """The account with which nodes log in there. It needs all storage virtual
    machines; what a session's user may not use is refused before and there."""
    password_file: _Word
    """File with the account's password on one line, mode 0600, relative to
    the stack file's folder."""


class CabSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[cab]`` of a stack file."""

    tcp_stands_for_ipv6: bool = False
    """Whether a backup application that prepares a connection of type TCP may
    then ask for TCP_IPV6: some always say TCP."""
    answer_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """How long another node may leave a request unanswered until it has to
    show that it is there: it counts as lost if it leaves a new connection
    without a word for the same time. An answer itself may take hours, as
    movements of a tape do."""
    node: tuple[NodeSettings, ...] = ()
    """The other nodes of the cluster."""

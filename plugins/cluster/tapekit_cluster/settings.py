"""The settings of a node's place in its cluster.

Frozen structs, decoded by the kernel; what one field cannot say alone is
checked by :func:`tapekit_cluster.interfaces.interfaces_of`.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

__all__ = ["ClusterSettings", "Lif", "LifRole"]

LifRole: TypeAlias = Literal["node-mgmt", "cluster-mgmt", "intercluster", "data"]
"""What a logical interface is for, in the words of ``-preferred-interface-role``."""

_Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[\w.-]+\Z")]


class Lif(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A logical interface of this node."""

    name: _Name
    """The name in commands and messages."""
    role: LifRole
    """What it is for: node-mgmt, cluster-mgmt, intercluster or data."""
    svm: str = ""
    """The SVM of a data LIF; all others belong to the admin SVM."""
    addresses: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Its numeric addresses; ``transport_tcp`` has to listen on them."""
    firewall_policy: bool = True
    """Whether its firewall policy permits NDMP."""


class ClusterSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """This node's place in its cluster."""

    name: _Name = "cluster"
    """The cluster's name, which is that of the admin SVM too."""
    root_volume: Annotated[str, Meta(pattern=r"^(/[^/]+/[^/]+)?\Z")] = ""
    """The root volume of this node, as ``/svm/volume``; it is never backed up."""
    lif: tuple[Lif, ...] = ()
    """The logical interfaces of this node. Without any, all addresses lead to
    all that a user may use; with some, NDMP is taken on theirs alone."""

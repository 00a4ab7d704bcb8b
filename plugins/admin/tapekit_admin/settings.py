"""The settings of the management socket."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

__all__ = ["AdminSettings"]


class AdminSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table ``[admin]`` of a stack file."""

    socket: Annotated[str, Meta(min_length=1)] = "state/admin.sock"
    """The socket that commands connect to, relative to the stack file's
    folder; its folder is made if need be. Mode 0600: who can open it can do
    everything."""
    nodes: dict[str, Annotated[str, Meta(min_length=1)]] = field(default_factory=dict)
    """The other nodes of the cluster: the name of each, and the socket of its
    stack, relative to the stack file's folder. That of another host is
    forwarded, as by ``ssh -N -L SOCKET:ITS_SOCKET HOST``. Commands that list
    the devices of all nodes ask them too."""
    calls: Annotated[int, Meta(ge=1, le=1000)] = 64
    """Commands that are served at one time."""

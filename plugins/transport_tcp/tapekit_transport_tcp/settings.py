"""The settings of the TCP transport.

One frozen struct, decoded by the kernel, whose ranges are checked as it is
decoded. What a range cannot say (an address, the order of two ports) is
checked when the stack is assembled.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

__all__ = ["InterfaceRole", "Port", "TransportTcpSettings"]

Port = Annotated[int, Meta(ge=1, le=65535)]
"""A TCP port that somebody can connect to."""


InterfaceRole: TypeAlias = Literal["data", "node-mgmt", "cluster-mgmt", "intercluster"]
"""What a network interface is for, as ``-preferred-interface-role`` says it."""


class TransportTcpSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the server listens and how its connections behave."""

    listen: tuple[str, ...] = ("127.0.0.1:10000",)
    """Addresses for control connections, as HOST:PORT or [IPV6]:PORT.
    The default accepts programs of this machine only."""
    backlog: Annotated[int, Meta(ge=1, le=65535)] = 64
    """Control connections that may wait to be accepted."""
    nodelay: bool = True
    """Send small packets at once, on control and data connections."""
    keepalive_s: Annotated[int, Meta(ge=0, le=32767)] = 60
    """Seconds of silence after which the other side is probed, so that a
    dead one is found; 0 switches probing off."""
    connect_timeout_s: Annotated[float, Meta(gt=0, le=3600)] = 30.0
    """Seconds within which the other side of a data connection must answer."""
    data_ports: tuple[Port, Port] | None = None
    """First and last port for data connections that wait for the other
    side, for firewalls; unset means any free port."""
    interfaces: dict[InterfaceRole, tuple[str, ...]] = {}
    """Numeric addresses of this machine by the role of their interface:
    data, node-mgmt, cluster-mgmt or intercluster."""
    preferred_interface_role: tuple[InterfaceRole, ...] = ()
    """Roles of interfaces for data connections, best first: an address with
    the first role that has one of the right family is used, and without any
    there is no data connection. Unset means the address of the control
    connection."""
    ring_buffers: Annotated[int, Meta(ge=2, le=1024)] = 8
    """Buffers of 1 MiB between the two ends of a data connection."""
    send_extents: Literal["copy", "sendfile"] = "copy"
    """How large files get into a TCP data connection: copied through
    memory, or by sendfile, which saves a copy. Which is faster depends on
    the machine and its network."""

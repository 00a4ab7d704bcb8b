"""Addresses on the wire and addresses of sockets (NDMP v4, addr)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from tapekit.hookspecs.transport import Endpoint
from tapekit_ndmp_v4.messages import LocalAddr, TcpAddr, TcpAddrs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_ndmp_v4.messages import Addr

__all__ = ["of_endpoints", "to_endpoint"]


def of_endpoints(endpoints: Sequence[Endpoint]) -> Addr:
    """The address structure for IPv4 endpoints, best first; peers use the first."""
    return TcpAddrs(
        tcp_addr=tuple(
            TcpAddr(ip=int(ipaddress.IPv4Address(each.host)), port=each.port, addr_env=())
            for each in endpoints
        )
    )


def to_endpoint(address: Addr) -> Endpoint | None:
    """The first endpoint of an address structure, or ``None`` without one."""
    if isinstance(address, LocalAddr) or not isinstance(address, TcpAddrs):
        return None
    if not address.tcp_addr:
        return None
    first = address.tcp_addr[0]
    return Endpoint(str(ipaddress.IPv4Address(first.ip)), first.port)

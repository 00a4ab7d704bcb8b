"""Addresses on the wire and addresses of sockets (NDMP v4, addr; class 0x2051).

The kind of an address is its family: TCP for IPv4, TCP_IPV6 for IPv6. The
zone of a link-local IPv6 address has no place in NDMP and is left out.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from tapekit.hookspecs.transport import Endpoint
from tapekit_ndmp_v4.messages import (
    IpcAddr,
    LocalAddr,
    TcpAddr,
    TcpAddrs,
    TcpIpv6Addr,
    TcpIpv6Addrs,
)
from tapekit_ndmp_v4.numbers import AddrType
from tapekit_ndmp_v4.wire import Pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.transport import Credentials
    from tapekit_ndmp_v4.messages import Addr

__all__ = ["credentials_of", "family_of", "kind_of", "of_endpoints", "to_endpoint"]


def family_of(host: str) -> AddrType:
    """TCP or TCP_IPV6, by a numeric address."""
    return AddrType.TCP_IPV6 if ":" in host else AddrType.TCP


def kind_of(address: Addr) -> AddrType:
    """The kind of data connection that an address is for."""
    match address:
        case TcpAddrs():
            return AddrType.TCP
        case TcpIpv6Addrs():
            return AddrType.TCP_IPV6
        case IpcAddr():
            return AddrType.IPC
        case LocalAddr():
            return AddrType.LOCAL


def of_endpoints(endpoints: Sequence[Endpoint], credentials: Credentials = ()) -> Addr:
    """The address structure for endpoints of one family, best first; peers
    use the first. What a peer must bring goes with each.
    """
    env = tuple(Pair(*pair) for pair in credentials)
    if endpoints and family_of(endpoints[0].host) is AddrType.TCP_IPV6:
        return TcpIpv6Addrs(tcp_ipv6_addr=tuple(_ipv6(each, env) for each in endpoints))
    return TcpAddrs(
        tcp_addr=tuple(
            TcpAddr(ip=int(ipaddress.IPv4Address(each.host)), port=each.port, addr_env=env)
            for each in endpoints
        )
    )


def _ipv6(endpoint: Endpoint, env: tuple[Pair, ...]) -> TcpIpv6Addr:
    packed = ipaddress.IPv6Address(endpoint.host.partition("%")[0]).packed
    return TcpIpv6Addr(ip=packed, port=endpoint.port, addr_env=env)


def credentials_of(address: Addr) -> Credentials:
    """The variables of the first endpoint of an address structure."""
    match address:
        case TcpAddrs(tcp_addr=(first, *_)):
            env = first.addr_env
        case TcpIpv6Addrs(tcp_ipv6_addr=(first6, *_)):
            env = first6.addr_env
        case _:
            env = ()
    return tuple((pair.name, pair.value) for pair in env)


def to_endpoint(address: Addr) -> Endpoint | None:
    """The first endpoint of an address structure, or ``None`` without one."""
    match address:
        case TcpAddrs(tcp_addr=(first, *_)):
            return Endpoint(str(ipaddress.IPv4Address(first.ip)), first.port)
        case TcpIpv6Addrs(tcp_ipv6_addr=(first6, *_)):
            return Endpoint(str(ipaddress.IPv6Address(first6.ip)), first6.port)
        case _:
            return None

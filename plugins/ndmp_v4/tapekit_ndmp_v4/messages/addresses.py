"""Addresses of data connections (NDMP v4, addr; IPv6 by class 0x2051).

A reply to a LISTEN must carry the arm that was asked for. Peers that have
not chosen the connection address extension cannot decode its arm and drop
the connection, so it is never sent to them.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta

from tapekit_ndmp_v4.numbers import AddrType
from tapekit_ndmp_v4.wire import U16, U32, Message, PairList

__all__ = [
    "Addr",
    "IpcAddr",
    "LocalAddr",
    "TcpAddr",
    "TcpAddrs",
    "TcpIpv6Addr",
    "TcpIpv6Addrs",
]

_MANY = 256
"""More addresses than any host offers for one connection."""


class LocalAddr(Message, tag=AddrType.LOCAL.value):
    """The data stays inside the server."""


class TcpAddr(Message):
    """One IPv4 address as a number (10.0.0.1 is 0x0A000001) and a port."""

    ip: U32
    port: U16
    addr_env: PairList


class TcpAddrs(Message, tag=AddrType.TCP.value):
    """Where a TCP peer may connect; peers use the first."""

    tcp_addr: Annotated[tuple[TcpAddr, ...], Meta(max_length=_MANY)]


class IpcAddr(Message, tag=AddrType.IPC.value):
    """Data for a connection between processes; its content has no meaning
    that anybody wrote down.
    """

    comm_data: Annotated[bytes, Meta(max_length=4096)]


class TcpIpv6Addr(Message):
    """One IPv6 address of 16 bytes and a port."""

    ip: Annotated[bytes, Meta(min_length=16, max_length=16)]
    port: U16
    addr_env: PairList


class TcpIpv6Addrs(Message, tag=AddrType.TCP_IPV6.value):
    """Where a TCP peer may connect over IPv6; peers use the first."""

    tcp_ipv6_addr: Annotated[tuple[TcpIpv6Addr, ...], Meta(max_length=_MANY)]


Addr: TypeAlias = LocalAddr | TcpAddrs | IpcAddr | TcpIpv6Addrs

"""Addresses on the wire and addresses of sockets."""

from __future__ import annotations

import pytest

from tapekit.hookspecs.transport import Endpoint
from tapekit_ndmp_v4 import addresses, xdr
from tapekit_ndmp_v4.messages import (
    Addr,
    DataConnectRequest,
    IpcAddr,
    LocalAddr,
    TcpAddrs,
    TcpIpv6Addrs,
)
from tapekit_ndmp_v4.numbers import AddrType

IPV6_BYTES = "20510004 00000001 20010db8 00000000 00000000 00000001 0000115c 00000000"


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        (Endpoint("192.0.2.7", 4444), AddrType.TCP),
        (Endpoint("2001:db8::1", 4444), AddrType.TCP_IPV6),
    ],
)
def test_an_endpoint_comes_back_from_its_address(endpoint: Endpoint, kind: AddrType) -> None:
    address = addresses.of_endpoints([endpoint])
    assert addresses.kind_of(address) is addresses.family_of(endpoint.host) is kind
    assert addresses.to_endpoint(address) == endpoint


def test_an_ipv6_address_has_its_arm_of_the_union() -> None:
    address = addresses.of_endpoints([Endpoint("2001:db8::1", 4444)])
    assert xdr.encode(DataConnectRequest(addr=address)) == bytes.fromhex(IPV6_BYTES)


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::1"])
def test_credentials_go_with_an_address(host: str) -> None:
    credentials = (("NAME", "value"), ("OTHER", ""))
    address = addresses.of_endpoints([Endpoint(host, 4444)], credentials)
    request = xdr.decode(DataConnectRequest, xdr.encode(DataConnectRequest(addr=address)))
    assert addresses.credentials_of(request.addr) == credentials
    assert addresses.to_endpoint(request.addr) == Endpoint(host, 4444)


def test_the_zone_of_an_address_stays_here() -> None:
    address = addresses.of_endpoints([Endpoint("fe80::1%eth0", 4444)])
    assert addresses.to_endpoint(address) == Endpoint("fe80::1", 4444)


def test_peers_use_the_first_of_several_endpoints() -> None:
    several = [Endpoint("2001:db8::1", 1), Endpoint("2001:db8::2", 2)]
    assert addresses.to_endpoint(addresses.of_endpoints(several)) == several[0]


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (LocalAddr(), AddrType.LOCAL),
        (IpcAddr(comm_data=b"x"), AddrType.IPC),
        (TcpAddrs(tcp_addr=()), AddrType.TCP),
        (TcpIpv6Addrs(tcp_ipv6_addr=()), AddrType.TCP_IPV6),
    ],
)
def test_an_address_without_an_endpoint_has_a_kind_alone(address: Addr, kind: AddrType) -> None:
    assert addresses.to_endpoint(address) is None
    assert addresses.credentials_of(address) == ()
    assert addresses.kind_of(address) is kind

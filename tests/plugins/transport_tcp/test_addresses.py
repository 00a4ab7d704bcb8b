"""Addresses as settings write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit.hookspecs.transport import Endpoint
from tapekit_transport_tcp.addresses import listen_endpoint, listen_endpoints, require_order


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("127.0.0.1:10000", Endpoint("127.0.0.1", 10000)),
        ("0.0.0.0:0", Endpoint("0.0.0.0", 0)),
        ("backup.example.org:65535", Endpoint("backup.example.org", 65535)),
        ("[::1]:10000", Endpoint("::1", 10000)),
        ("[fe80::1%eth0]:10000", Endpoint("fe80::1%eth0", 10000)),
    ],
)
def test_listen_endpoint_reads(text: str, endpoint: Endpoint) -> None:
    assert listen_endpoint(text) == endpoint


@given(st.ip_addresses(), st.integers(0, 65535))
def test_listen_endpoint_reads_what_an_endpoint_writes(host: object, port: int) -> None:
    endpoint = Endpoint(str(host), port)
    assert listen_endpoint(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10000", "port is missing"),
        ("", "port is missing"),
        (":10000", "host is missing"),
        ("[]:10000", "host is missing"),
        ("127.0.0.1:", "not a port"),
        ("127.0.0.1:65536", "not a port"),
        ("127.0.0.1:-1", "not a port"),
        ("127.0.0.1:\u0661", "not a port"),
        ("127.0.0.1: 10", "blanks"),
        ("::1:10000", "stands in brackets"),
        ("[::1:10000", "bracket stands alone"),
        ("::1]:10000", "bracket stands alone"),
        ("[::1]", "bracket stands alone"),
    ],
)
def test_listen_endpoint_refuses(text: str, reason: str) -> None:
    with pytest.raises(TapekitError, match=reason) as refused:
        listen_endpoint(text)
    assert refused.value.id == "transport_tcp.bad-listen-address"
    assert refused.value.facts["address"] == text


def test_listen_endpoints_keeps_the_order() -> None:
    assert [str(one) for one in listen_endpoints(("[::1]:2", "127.0.0.1:1"))] == [
        "[::1]:2",
        "127.0.0.1:1",
    ]


def test_listen_endpoints_wants_one() -> None:
    with pytest.raises(TapekitError) as refused:
        listen_endpoints(())
    assert refused.value.id == "transport_tcp.no-listen-address"


@pytest.mark.parametrize("ports", [None, (1, 1), (1, 2)])
def test_a_range_in_order_passes(ports: tuple[int, int] | None) -> None:
    require_order(ports)


def test_a_range_that_runs_backwards_is_refused() -> None:
    with pytest.raises(TapekitError, match="from 9 to 8") as refused:
        require_order((9, 8))
    assert refused.value.id == "transport_tcp.bad-port-range"

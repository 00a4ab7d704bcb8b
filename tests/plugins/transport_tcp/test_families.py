"""The address families of TCP data connections."""

from __future__ import annotations

import pytest

from tapekit_transport_tcp.families import IPV4, IPV6


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.7"])
def test_ipv4_addresses_are_of_one_family(host: str) -> None:
    assert IPV4.has(host)
    assert not IPV6.has(host)


@pytest.mark.parametrize("host", ["::1", "2001:db8::7", "fe80::1%eth0"])
def test_ipv6_addresses_are_of_the_other(host: str) -> None:
    assert IPV6.has(host)
    assert not IPV4.has(host)


@pytest.mark.parametrize("host", ["", "localhost", "::ffff:192.0.2.7", "[::1]", "192.0.2.7:9"])
def test_other_texts_are_of_neither(host: str) -> None:
    assert not IPV4.has(host)
    assert not IPV6.has(host)

"""Which address a data connection uses."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit_transport_tcp.families import IPV4, IPV6, Family
from tapekit_transport_tcp.interfaces import own_address, require_numeric
from tapekit_transport_tcp.settings import TransportTcpSettings

SITE = TransportTcpSettings(
    interfaces={
        "data": ("192.0.2.7", "192.0.2.8", "2001:db8::7"),
        "intercluster": ("198.51.100.7",),
    },
    preferred_interface_role=("cluster-mgmt", "intercluster", "data"),
)


@pytest.mark.requirement("R187")
@pytest.mark.parametrize(
    ("family", "control", "address"),
    [
        (IPV4, "192.0.2.8", "198.51.100.7"),
        (IPV4, None, "198.51.100.7"),
        (IPV6, "::1", "2001:db8::7"),
    ],
)
def test_the_first_role_with_an_address_of_the_family_decides(
    family: Family, control: str | None, address: str
) -> None:
    assert own_address(SITE, family, control) == address


def test_within_a_role_the_address_of_the_control_connection_comes_first() -> None:
    only_data = TransportTcpSettings(interfaces=SITE.interfaces, preferred_interface_role=("data",))
    assert own_address(only_data, IPV4, "192.0.2.8") == "192.0.2.8"
    assert own_address(only_data, IPV4, "192.0.2.9") == "192.0.2.7"


def test_without_a_preference_nothing_is_chosen() -> None:
    assert own_address(TransportTcpSettings(interfaces=SITE.interfaces), IPV4, "192.0.2.8") is None


def test_a_preference_that_nothing_meets_is_an_error() -> None:
    settings = TransportTcpSettings(preferred_interface_role=("data", "node-mgmt"))
    with pytest.raises(TapekitError, match=r"TCP_IPV6: .*\(data, node-mgmt\) has an IPv6 address"):
        own_address(settings, IPV6, "::1")


def test_addresses_are_numeric() -> None:
    require_numeric(SITE.interfaces)
    with pytest.raises(TapekitError, match='"filer" of the role data') as refused:
        require_numeric({"data": ("192.0.2.7", "filer")})
    assert refused.value.id == "transport_tcp.bad-interface-address"

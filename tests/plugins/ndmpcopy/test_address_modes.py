"""Which data connections are tried, by options and addresses."""

from __future__ import annotations

import pytest

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.numbers import AddrType
from tapekit_ndmpcopy.address_modes import common_kinds, wanted_families
from tapekit_ndmpcopy.places import Family

V4, V6 = Family.INET, Family.INET6
TCP, TCP6, LOCAL = AddrType.TCP, AddrType.TCP_IPV6, AddrType.LOCAL


@pytest.mark.requirement("R093")
@pytest.mark.parametrize("asked", [V4, V6])
@pytest.mark.parametrize("source", [V4, V6])
@pytest.mark.parametrize("destination", [V4, V6])
def test_the_option_decides(asked: Family, source: Family, destination: Family) -> None:
    assert wanted_families(asked, source, destination) == (asked,)


@pytest.mark.requirement("R094")
@pytest.mark.parametrize(
    ("source", "destination", "wanted"),
    [(V6, V6, (V6,)), (V6, V4, (V6,)), (V4, V6, (V6,)), (V4, V4, (V6, V4))],
)
def test_without_the_option_the_addresses_decide(
    source: Family, destination: Family, wanted: tuple[Family, ...]
) -> None:
    assert wanted_families(None, source, destination) == wanted


@pytest.mark.requirement("R094")
@pytest.mark.parametrize(
    ("source", "destination", "kinds"),
    [
        ({TCP, TCP6}, {TCP, TCP6}, (TCP6, TCP)),
        ({TCP, LOCAL}, {TCP, TCP6}, (TCP,)),
        ({TCP, TCP6}, {TCP}, (TCP,)),
        ({TCP6}, {TCP, TCP6}, (TCP6,)),
    ],
)
def test_only_what_both_offer_is_tried(
    source: set[int], destination: set[int], kinds: tuple[AddrType, ...]
) -> None:
    offers = {"source": source, "destination": destination}
    assert common_kinds((V6, V4), offers) == kinds


def test_a_side_without_the_mode_is_named() -> None:
    offers = {"source": {TCP, TCP6}, "destination": {LOCAL, TCP, 0x2059_0001}}
    with pytest.raises(TapekitError) as refused:
        common_kinds((V6,), offers)
    assert str(refused.value) == (
        "the destination offers no data connection of type TCP_IPV6; "
        "it offers LOCAL, TCP, 0x20590001"
    )


def test_sides_that_have_nothing_in_common_are_told() -> None:
    with pytest.raises(TapekitError, match="the source offers no data connection of type TCP; it"):
        common_kinds((V6, V4), {"source": {LOCAL}, "destination": {TCP}})
    with pytest.raises(TapekitError, match="it offers none"):
        common_kinds((V4,), {"source": set[int](), "destination": {TCP}})

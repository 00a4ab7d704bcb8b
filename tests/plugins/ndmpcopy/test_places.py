"""Where a copy goes from and to, as the command line says it."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.client import ServerTrust
from tapekit_ndmpcopy.places import Family, Place, read_place, require_two_places


def read(text: str, **options: Any) -> Place:
    defaults: dict[str, Any] = {"port": 10000, "option": "-mcs", "family": None, "loopback": False}
    return read_place(text, **defaults | options)


def refusal(text: str, **options: Any) -> TapekitError:
    with pytest.raises(TapekitError) as refused:
        read(text, **options)
    return refused.value


@pytest.mark.requirement("R087")
@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("192.0.2.129:/vs1/vol1", "192.0.2.129", "/vs1/vol1"),
        ("192.0.2.129:/vs1/vol1/", "192.0.2.129", "/vs1/vol1"),
        ("192.0.2.129:/vs1/vol1/a/b.toml", "192.0.2.129", "/vs1/vol1/a/b.toml"),
        ("192.0.2.129://vs1/./vol1//a:/b", "192.0.2.129", "/vs1/vol1/a:/b"),
        ("[2001:db8:1:1:209:6bff:feae:6d67]:/s/v", "2001:db8:1:1:209:6bff:feae:6d67", "/s/v"),
        ("[2001:0db8::0001]:/s/v", "2001:db8::1", "/s/v"),
        ("[fe80::1%eth0]:/s/v", "fe80::1%eth0", "/s/v"),
        ("10.0.0.1:/vs1/vol1/bl\udce4", "10.0.0.1", "/vs1/vol1/bl\udce4"),
    ],
)
def test_a_place_is_an_address_and_a_path(text: str, host: str, path: str) -> None:
    assert read(text) == Place(host=host, port=10000, path=path)


@pytest.mark.parametrize(
    "text", ["", "/vs1/vol1", ":/vs1/vol1", "10.0.0.1", "10.0.0.1:vs1/vol1", "/x:/vs1/vol1"]
)
def test_what_is_no_place_is_refused(text: str) -> None:
    error = refusal(text)
    assert error.id == "ndmpcopy.bad-place"
    assert f'"{text}"' in str(error)


@pytest.mark.requirement("R090")
@pytest.mark.parametrize("host", ["filer", "filer.example.com", "10.0.0", "[10.0.0.1]", "[x]", "1"])
def test_names_are_no_addresses(host: str) -> None:
    assert refusal(f"{host}:/vs1/vol1").id == "ndmpcopy.not-an-address"


@pytest.mark.requirement("R090")
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1.2.3", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0"]
)
def test_loopback_is_refused_unless_allowed(host: str) -> None:
    error = refusal(f"{host}:/vs1/vol1")
    assert error.id == "ndmpcopy.loopback-address"
    assert "--allow-loopback" in error.action
    assert read(f"{host}:/vs1/vol1", loopback=True).path == "/vs1/vol1"


@pytest.mark.requirement("R091")
@pytest.mark.parametrize("host", ["2001:db8::1", "[2001:db8::1", "2001:db8::1]"])
def test_an_ipv6_address_needs_its_brackets(host: str) -> None:
    error = refusal(f"{host}:/vs1/vol1")
    assert error.id == "ndmpcopy.ipv6-needs-brackets"
    assert error.action == "Write it as [2001:db8::1]."


@pytest.mark.requirement("R091")
@given(st.ip_addresses(v=6).filter(lambda address: not (address.is_loopback or int(address) == 0)))
def test_every_ipv6_address_in_brackets_is_taken(address: ipaddress.IPv6Address) -> None:
    if address.ipv4_mapped is None:
        place = read(f"[{address.exploded}]:/vs1/vol1")
        assert ipaddress.ip_address(place.host) == address
        assert read(str(place)) == place


@pytest.mark.requirement("R092")
@pytest.mark.parametrize(
    ("host", "family"), [("10.0.0.1", Family.INET), ("[2001:db8::1]", Family.INET6)]
)
def test_the_address_decides_the_mode(host: str, family: Family) -> None:
    assert read(f"{host}:/vs1/vol1").family is family
    assert read(f"{host}:/vs1/vol1", family=family).family is family


@pytest.mark.requirement("R092")
def test_ipv4_written_as_ipv6_goes_by_the_mode_asked_for() -> None:
    text = "[::ffff:192.0.2.1]:/vs1/vol1"
    assert read(text, family=Family.INET).host == "192.0.2.1"
    assert read(text, family=Family.INET6).family is Family.INET6
    assert read(text).family is Family.INET6


@pytest.mark.requirement("R092")
def test_a_mode_that_the_address_cannot_have_is_refused() -> None:
    error = refusal("10.0.0.1:/vs1/vol1", family=Family.INET6, option="-mcd")
    assert str(error) == "-mcd inet6 cannot be had with 10.0.0.1, which is inet"
    assert refusal("[2001:db8::1]:/s/v", family=Family.INET).id == "ndmpcopy.other-address-mode"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", "before the volume"),
        ("/vs1", "before the volume"),
        ("/vs1/.", "before the volume"),
        ("/vs1/vol1/../vol2", "climbs"),
        ("/vs1/vo\x1b[2Jl", "cannot be printed"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(path: str, reason: str) -> None:
    error = refusal(f"10.0.0.1:{path}")
    assert error.id == "ndmpcopy.bad-path"
    assert reason in str(error)
    assert str(error).isprintable()


@given(st.text(max_size=60))
def test_any_text_that_is_no_place_is_refused_in_print(text: str) -> None:
    error = refusal(text, loopback=True)
    assert error.id.startswith("ndmpcopy.")
    assert str(error).isprintable()


def test_nothing_is_copied_onto_itself() -> None:
    place = read("10.0.0.1:/vs1/vol1")
    with pytest.raises(TapekitError, match=r"are the same: 10\.0\.0\.1:/vs1/vol1"):
        require_two_places(place, read("10.0.0.1:/vs1/vol1/"))
    require_two_places(place, read("10.0.0.1:/vs1/vol1", port=10001))
    require_two_places(place, read("10.0.0.2:/vs1/vol1"))
    require_two_places(place, read("10.0.0.2:/vs1/vol1/copy"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("10.0.0.1:/vs1/vol1", "[::ffff:10.0.0.1]:/vs1/vol1"),
        ("[::ffff:a00:1]:/vs1/vol1", "10.0.0.1:/vs1/./vol1/"),
        ("[2001:db8::1]:/vs1/vol1", "[2001:0db8:0::0001]:/vs1/vol1"),
    ],
)
def test_one_server_has_many_spellings(first: str, second: str) -> None:
    with pytest.raises(TapekitError, match="are the same"):
        require_two_places(read(first), read(second))


def test_how_a_connection_is_secured_makes_no_other_server() -> None:
    place = read("10.0.0.1:/vs1/vol1")
    with pytest.raises(TapekitError, match="are the same"):
        require_two_places(place, msgspec.structs.replace(place, trust=ServerTrust()))


def test_nothing_is_copied_into_itself() -> None:
    place = read("10.0.0.1:/vs1/vol1")
    with pytest.raises(TapekitError) as refused:
        require_two_places(place, read("[::ffff:10.0.0.1]:/vs1/vol1/a/copy"))
    assert refused.value.id == "ndmpcopy.place-within"
    assert "/vs1/vol1/a/copy lies within the source 10.0.0.1:/vs1/vol1" in str(refused.value)
    require_two_places(place, read("10.0.0.1:/vs1/vol10"))
    require_two_places(read("10.0.0.1:/vs1/vol1/a"), place)

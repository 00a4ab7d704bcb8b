"""Virtual devices can be told apart."""

from __future__ import annotations

from tapekit_vtape.identity import changer_identity, drive_identity
from tapekit_vtape.settings import MOST_DRIVES

ALL = [
    identity
    for library in ("5E1A1", "5E1A2")
    for identity in (
        changer_identity(library),
        *(drive_identity(library, number) for number in range(MOST_DRIVES)),
    )
]


def test_no_two_devices_have_the_same_serial_number_or_designator() -> None:
    assert len({identity.serial for identity in ALL}) == len(ALL)
    assert len({one for identity in ALL for one in identity.designators}) == 2 * len(ALL)


def test_devices_of_a_library_have_addresses_of_their_own() -> None:
    addresses = {identity.address for identity in ALL}
    assert len(addresses) == len({identity.physical_path for identity in ALL}) == len(ALL) // 2


def test_designators_are_those_of_the_standard() -> None:
    naa, named = drive_identity("5E1A1", 3).designators
    assert (naa.code_set, naa.type, len(naa.identifier)) == (1, 3, 8)
    assert naa.identifier[0] >> 4 == 3
    assert (named.code_set, named.type) == (2, 1)
    assert named.identifier == b"TAPEKIT VIRTUAL-TAPE    5E1A1D03"

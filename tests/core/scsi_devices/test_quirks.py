"""Which devices have which quirks."""

from __future__ import annotations

import pytest

from tapekit.scsi_devices.identity import Make
from tapekit.scsi_devices.quirks import QUIRKS, Quirk, QuirkRow, quirks_of

ROW = QuirkRow("ACME", frozenset({Quirk.ELEMENTS_BY_TYPE}), product="L1", revision="2.")


@pytest.mark.parametrize(
    ("make", "fits"),
    [
        (Make(frozenset({"ACME"}), "L1", "2.17"), True),
        (Make(frozenset({"OTHER", "ACME"}), "L1", "2."), True),
        (Make(frozenset({"ACME"}), "L2", "2.17"), False),
        (Make(frozenset({"ACME"}), "L1", "1.2."), False),
        (Make(frozenset({"OTHER"}), "L1", "2.17"), False),
    ],
)
def test_a_row_is_about_what_it_names(make: Make, fits: bool) -> None:
    assert ROW.fits(make) is fits


def test_every_row_has_a_quirk_and_every_quirk_a_row() -> None:
    assert all(row.quirks for row in QUIRKS)
    assert frozenset().union(*(row.quirks for row in QUIRKS)) == frozenset(Quirk)


def test_a_device_by_any_name_is_known_by_its_identifiers() -> None:
    assert Quirk.ELEMENTS_BY_TYPE in quirks_of(Make(frozenset({"STK", "IET"}), "L700", "0001"))
    assert quirks_of(Make(frozenset({"STK"}), "L700", "0001")) == frozenset()

"""Who is behind a unit, whatever pages of data a device has."""

from __future__ import annotations

from typing import final

import pytest

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.inquiry import (
    Designator,
    DeviceType,
    Inquiry,
    encode_designators,
    encode_inquiry,
    encode_page_list,
    encode_serial,
)
from tapekit.scsi.sense import Sense, encode_sense
from tapekit.scsi_devices.identity import Identity, identify, make_of

WHO = Inquiry(DeviceType.TAPE, "ACME", "DRIVE", "1")
WORLDWIDE = "5000e11100000001"
NAA = Designator(1, 3, bytes.fromhex(WORLDWIDE))
NAME = Designator(2, 1, b"ACME")


@final
class MemoryUnit:
    """A unit with the pages that it is given, by number; -1 is the answer
    without a page.
    """

    address = ScsiAddress(0, 0, 0)

    def __init__(self, pages: dict[int, bytes | Sense]) -> None:
        self._pages = pages

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        assert cdb[0] == 0x12
        assert timeout_s
        answer = self._pages.get(cdb[2] if cdb[1] else -1, Sense(5, 0x24, 0))
        if isinstance(answer, Sense):
            return CdbReply(Status.CHECK_CONDITION, sense=encode_sense(answer))
        return CdbReply(Status.GOOD, answer[:data_in])

    def reset(self) -> None:
        raise AssertionError


def unit(**pages: bytes) -> MemoryUnit:
    numbers = {int(name[1:], 16): page for name, page in pages.items()}
    found = {-1: encode_inquiry(WHO), 0: encode_page_list(1, numbers), **numbers}
    return MemoryUnit(dict(found))


@pytest.mark.parametrize(
    ("made", "serial"),
    [
        (unit(p80=encode_serial(1, "SN1"), p83=encode_designators(1, [NAA])), "SN1"),
        (
            unit(p80=encode_serial(1, "  "), p83=encode_designators(1, [NAME, NAA])),
            "5000e11100000001",
        ),
        (unit(p83=encode_designators(1, [NAME])), ""),
        (unit(), ""),
        (MemoryUnit({-1: encode_inquiry(WHO)}), ""),
    ],
)
def test_a_device_is_known_by_its_number(made: MemoryUnit, serial: str) -> None:
    assert identify(made, "i.0") == Identity(WHO, serial)


@pytest.mark.parametrize("answer", [Sense(5, 0x25, 0), b"\x7f" + bytes(35), b"\x01"])
def test_nobody_is_behind_an_empty_unit(answer: bytes | Sense) -> None:
    assert identify(MemoryUnit({-1: answer}), "i.0") is None


def test_a_device_that_fails_is_an_error() -> None:
    with pytest.raises(TapeError, match=r"i\.0 did not carry out INQUIRY"):
        identify(MemoryUnit({-1: Sense(4, 0x44, 0)}), "i.0")
    with pytest.raises(TapeError, match=r"i\.0 did not carry out INQUIRY"):
        identify(MemoryUnit({-1: encode_inquiry(WHO), 0: Sense(4, 0x44, 0)}), "i.0")


OTHER = Designator(2, 1, b"IET     00010003")


@pytest.mark.parametrize(
    ("made", "vendors"),
    [
        (unit(p83=encode_designators(1, [NAA, OTHER])), {"ACME", "IET"}),
        (unit(p83=encode_designators(1, [NAME])), {"ACME"}),
        (unit(p83=encode_serial(1, "SN1")), {"ACME"}),
        (unit(), {"ACME"}),
        (MemoryUnit({-1: encode_inquiry(WHO)}), {"ACME"}),
        (MemoryUnit({-1: encode_inquiry(WHO), 0: b"?"}), {"ACME"}),
    ],
)
def test_a_device_is_made_by_whom_it_names(made: MemoryUnit, vendors: set[str]) -> None:
    make = make_of(made, "i.0")
    assert (make.vendors, make.product, make.revision) == (vendors, "DRIVE", "1")


def test_a_device_that_does_not_say_who_it_is_is_an_error() -> None:
    with pytest.raises(TapeError, match=r"i\.0 answered INQUIRY with data that cannot be read"):
        make_of(MemoryUnit({-1: b"?"}), "i.0")

"""Which units a target lists, and what people call them."""

from __future__ import annotations

from typing import final

import pytest

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit_scsi_iscsi.logical_units import logical_unit, report_luns


@final
class MemoryUnit:
    """A unit that lists what it is given."""

    address = ScsiAddress(0, 0, 0)

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        assert cdb[0] == 0xA0
        assert timeout_s
        return CdbReply(Status.GOOD, self._answer[:data_in])

    def reset(self) -> None:
        raise AssertionError


def test_units_of_two_methods_are_listed_and_others_left_out() -> None:
    rows = ("0001000000000000", "412c000000000000", "c101000000000000", "0002000100000000")
    body = b"".join(map(bytes.fromhex, rows))
    listed = MemoryUnit(len(body).to_bytes(4, "big") + bytes(4) + body + b"\0\0")
    found = report_luns(listed, "i.0")
    assert [logical_unit(lun) for lun in found] == [1, 300]
    with pytest.raises(TapeError, match="the list of logical units has 3 bytes"):
        report_luns(MemoryUnit(b"abc"), "i.0")

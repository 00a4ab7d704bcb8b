"""Settings of virtual tape agree with each other."""

from __future__ import annotations

import msgspec
import pytest

from tapekit_vtape.settings import VtapeSettings


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"drives": 0}, "drives"),
        ({"drives": 65}, "drives"),
        ({"slots": 0}, "slots"),
        ({"capacity_bytes": 1000}, "capacity_bytes"),
        ({"capacity_bytes": 1 << 20, "early_warning_bytes": 1 << 20}, "must be less than"),
        ({"mail_slots": -1}, "mail_slots"),
        ({"slot_address": 65536}, "slot_address"),
        ({"slot_address": 257}, r"slot_address \(257\) lies among the elements of drive_address"),
        ({"arm_address": 1030}, r"arm_address \(1030\) lies among the elements of slot_address"),
        ({"slots": 65000}, r"slot_address \(1024\) leaves no room for 65000 elements"),
        (
            {"mail_slots": 241, "mail_slot_address": 16},
            r"drive_address \(256\) lies among the elements of mail_slot_address",
        ),
        ({"durability": "sometimes"}, "durability"),
        ({"folder": "x"}, "unknown field"),
        ({"faults": [{"kind": "fire"}]}, r"'fire' - at `\$.faults\[0\].kind`"),
        ({"faults": [{"kind": "no-tape", "drive": 2}]}, "a fault names drive 2 of 2"),
        ({"faults": [{"kind": "slow"}]}, "a fault of the kind slow needs bytes_per_second"),
    ],
)
def test_what_cannot_work_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        msgspec.convert(values, VtapeSettings)


def test_data_is_durable_by_default() -> None:
    assert VtapeSettings().durability == "filemark"


def test_elements_that_are_not_there_take_no_addresses() -> None:
    assert VtapeSettings(mail_slot_address=0).mail_slots == 0
    assert VtapeSettings(drive_address=2000, drives=64, slots=976).slots == 976

"""A changer that may only be asked type by type answers as one without quirks does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import CHANGER_COMMANDS, changer_command
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.elements import decode_elements
from tapekit.scsi.inquiry import (
    Designator,
    DeviceType,
    Inquiry,
    VitalPage,
    encode_designators,
    encode_inquiry,
    encode_page_list,
)
from tapekit.scsi.sense import Sense, decode_sense, encode_sense
from tapekit.scsi_devices.changer import CdbChanger
from tapekit.scsi_devices.changer_door import ChangerDoor
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

READ_STATUS = changer_command("READ ELEMENT STATUS")
TEST_UNIT_READY = changer_command("TEST UNIT READY").build()
LACKING = 8
"""Bytes that the changer keeps back of each report."""


@final
class QuirkyDoor:
    """A changer over one that answers rightly: of all types at once it dies,
    how many elements are wanted it does not look at, and the end lacks.
    """

    address = ScsiAddress(0, 1, 3)

    def __init__(self, model: Any, vendor: str = "IET") -> None:
        self._model = model
        self._vendor = vendor
        self.ran: list[bytes] = []
        self.next: list[CdbReply] = []
        self.is_reset = False
        self.lacking = LACKING
        self.pages = {VitalPage.LIST, VitalPage.IDENTIFICATION}

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        self.ran.append(cdb)
        if cdb[0] == 0x12:
            return CdbReply(Status.GOOD, self._inquiry(cdb))
        if self.next:
            return self.next.pop(0)
        if cdb[0] != READ_STATUS.opcode:
            return self._answered(cdb, data_in)
        assert cdb[1] & 0x0F, "asked for all types of elements at once"
        assert int.from_bytes(cdb[7:10], "big") <= data_in
        many = bytearray(cdb)
        many[4:6] = b"\xff\xff"
        many[7:10] = b"\xff\xff\xff"
        reply = self._answered(bytes(many), 0xFF_FFFF)
        if reply.status != Status.GOOD or not any(reply.data[5:8]):
            return reply
        answer = b"\x77\x77" + reply.data[2 : -self.lacking]
        return CdbReply(Status.GOOD, answer[:data_in])

    def _inquiry(self, cdb: bytes) -> bytes:
        if cdb[2] == VitalPage.LIST and cdb[1]:
            return encode_page_list(DeviceType.CHANGER, self.pages)
        if cdb[1]:
            mine = Designator(2, 1, self._vendor.ljust(8).encode() + b"00010003")
            return encode_designators(DeviceType.CHANGER, [mine])
        return encode_inquiry(Inquiry(DeviceType.CHANGER, "ACME", "LIBRARY", "1"))

    def _answered(self, cdb: bytes, data_in: int) -> CdbReply:
        reply: CdbReply = self._model.execute(cdb, data_in=data_in)
        return reply

    def reset(self) -> None:
        self.is_reset = True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The door of a virtual library, some of whose elements are full."""
    folder = tmp_path_factory.mktemp("library")
    made = VtapeSettings(directory=str(folder), slots=6, mail_slots=2, drives=3)
    driver = VtapeDriver(made)
    driver.library.create("S1", [f"T0000{number}" for number in range(5)])
    changer = driver.open_changer("changer")
    changer.move(256, 1025)
    changer.move(1027, 16)
    yield changer.door
    changer.close()


@pytest.fixture
def quirky(model: Any) -> QuirkyDoor:
    return QuirkyDoor(model)


@pytest.fixture
def door(quirky: QuirkyDoor) -> ChangerDoor:
    return ChangerDoor(quirky, "v.9")


def answer(door: Any, cdb: bytes, room: int = 0xFFFF) -> CdbReply:
    reply: CdbReply = door.execute(cdb, data_in=room, timeout_s=5)
    return reply


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.fixed_dictionaries(
        {
            "tags": st.integers(0, 1),
            "type": st.integers(0, 5),
            "start": st.sampled_from((0, 1, 16, 17, 200, 256, 258, 1024, 1029, 1030, 0xFFFF)),
            "count": st.sampled_from((0, 1, 2, 3, 5, 12, 80, 0xFFFF)),
            "identifiers": st.just(0),
            "current": st.integers(0, 1),
            "allocation": st.sampled_from((0, 4, 8, 16, 0xFFFF)) | st.integers(0, 900),
        }
    )
)
def test_any_report_is_that_of_a_changer_without_quirks(
    model: Any, door: ChangerDoor, values: dict[str, int]
) -> None:
    cdb = READ_STATUS.build(**values)
    assert answer(door, cdb) == answer(model, cdb)


@pytest.mark.parametrize("tags", [0, 1])
@pytest.mark.parametrize("kind", [0, 4])
def test_identifiers_are_told_but_for_one_that_is_cut_off(
    model: Any, door: ChangerDoor, tags: int, kind: int
) -> None:
    asked = {"type": kind, "tags": tags, "identifiers": 1, "count": 99, "allocation": 0xFFFF}
    mine, whole = (answer(one, READ_STATUS.build(**asked)).data for one in (door, model))
    assert (mine[:8], len(mine)) == (whole[:8], len(whole))
    found = decode_elements(mine)
    assert [one.address for one in found] == [one.address for one in decode_elements(whole)]
    assert [one.drive_serial is None for one in found[-3:]] == [False, False, True]


def test_what_the_user_wants_of_the_changer_reaches_it(
    quirky: QuirkyDoor, door: ChangerDoor
) -> None:
    answer(door, READ_STATUS.build(start=5, count=1, identifiers=1, current=1, allocation=99))
    asked = [READ_STATUS.parse(cdb) for cdb in quirky.ran if cdb[0] == READ_STATUS.opcode]
    assert [one["type"] for one in asked] == [1, 2, 3, 4]
    for one in asked:
        assert (one["start"], one["count"], one["tags"]) == (5, 0xFFFF, 1)
        assert (one["identifiers"], one["current"]) == (1, 1)


def test_bits_that_should_not_be_set_do_not_reach_it(model: Any, door: ChangerDoor) -> None:
    asked = READ_STATUS.build(tags=1, count=99, allocation=999)
    odd = bytes((asked[0], asked[1] | 0xE0, *asked[2:10], 0x55, 0x40))
    assert answer(door, odd) == answer(model, asked)
    assert answer(door, asked[:6]).data == b""


def test_a_user_with_little_room_gets_as_much(model: Any, door: ChangerDoor) -> None:
    asked = READ_STATUS.build(tags=1, count=99, allocation=999)
    shorter = READ_STATUS.build(tags=1, count=99, allocation=200)
    assert answer(door, asked, 200) == answer(model, shorter)


def test_a_large_library_is_asked_again_with_more_room(tmp_path: Any) -> None:
    driver = VtapeDriver(VtapeSettings(directory=str(tmp_path), slots=900))
    driver.library.create("S1", [])
    changer = driver.open_changer("changer")
    asked = READ_STATUS.build(tags=1, count=0xFFFF, allocation=0xFF_FFFF)
    assert changer.door is not None
    whole = answer(changer.door, asked, 0xFF_FFFF)
    quirky = QuirkyDoor(changer.door)
    assert answer(ChangerDoor(quirky, "v.9"), asked, 0xFF_FFFF) == whole
    assert len([cdb for cdb in quirky.ran if cdb[0] == READ_STATUS.opcode]) == 5
    changer.close()


@pytest.mark.parametrize(
    "reply",
    [
        CdbReply(Status.CHECK_CONDITION, sense=encode_sense(Sense(6, 0x28, 1))),
        CdbReply(Status.CHECK_CONDITION, sense=encode_sense(Sense(5, 0x24, 0))),
        CdbReply(Status.CHECK_CONDITION, sense=b"?"),
        CdbReply(Status.RESERVATION_CONFLICT),
    ],
)
def test_what_it_refuses_is_refused_and_not_sent_again(
    quirky: QuirkyDoor, door: ChangerDoor, reply: CdbReply
) -> None:
    answer(door, TEST_UNIT_READY)
    quirky.ran.clear()
    quirky.next = [reply]
    assert answer(door, READ_STATUS.build(count=99, allocation=999)) == reply
    assert [cdb[0] for cdb in quirky.ran] == [0x12, 0x12, 0x12, READ_STATUS.opcode]


def test_an_answer_that_lacks_too_much_is_told(quirky: QuirkyDoor, door: ChangerDoor) -> None:
    quirky.lacking = 30
    with pytest.raises(TapeError, match=r"v\.9 answered READ ELEMENT STATUS with data") as caught:
        answer(door, READ_STATUS.build(count=99, allocation=999))
    assert caught.value.condition is Condition.HARDWARE_ERROR


def test_other_commands_go_through_as_they_are(quirky: QuirkyDoor, door: ChangerDoor) -> None:
    asked = changer_command("MOVE MEDIUM").build(source=9, destination=256)
    reply = answer(door, asked)
    assert (decode_sense(reply.sense).asc, quirky.ran) == (0x21, [TEST_UNIT_READY, asked])
    door.reset()
    assert quirky.is_reset
    assert door.address == quirky.address


def test_a_changer_without_quirks_gets_what_its_user_sends(model: Any) -> None:
    right = QuirkyDoor(model, "ACME")
    door = CdbChanger(right, "v.9", lambda: None).door
    assert door is not None
    asked = READ_STATUS.build(type=2, count=2, allocation=999)
    for _ in range(2):
        answer(door, asked)
    assert [CHANGER_COMMANDS[cdb[0]].name for cdb in right.ran] == [
        "TEST UNIT READY",
        "INQUIRY",
        "INQUIRY",
        "INQUIRY",
        "READ ELEMENT STATUS",
        "READ ELEMENT STATUS",
    ]
    assert right.ran[-1] == asked


RESET = CdbReply(Status.CHECK_CONDITION, sense=encode_sense(Sense(6, 0x29, 0)))
MAIL = CdbReply(Status.CHECK_CONDITION, sense=encode_sense(Sense(6, 0x28, 1)))


@pytest.mark.parametrize("vendor", ["IET", "ACME"])
@pytest.mark.parametrize(
    "asked",
    [
        READ_STATUS.build(type=2, count=2, allocation=999),
        changer_command("MOVE MEDIUM").build(source=256, destination=256),
        TEST_UNIT_READY,
    ],
)
def test_a_reset_before_its_user_came_is_no_news(model: Any, vendor: str, asked: bytes) -> None:
    quirky = QuirkyDoor(model, vendor)
    quirky.next = [RESET, RESET]
    door = ChangerDoor(quirky, "v.9")
    answer(door, changer_command("INQUIRY").build(allocation=36))
    assert quirky.next
    reply = answer(door, asked)
    assert not reply.sense or decode_sense(reply.sense).key != 6
    quirky.next = [RESET]
    assert answer(door, asked) == RESET


@pytest.mark.parametrize("status", [Status.BUSY, Status.RESERVATION_CONFLICT])
def test_what_is_no_news_does_not_keep_a_command_back(
    quirky: QuirkyDoor, door: ChangerDoor, status: Status
) -> None:
    quirky.next = [CdbReply(status)]
    asked = changer_command("MODE SENSE(6)").build(page=0x1D, allocation=99)
    assert answer(door, asked).status == Status.GOOD


def test_other_news_is_told_to_a_new_user(quirky: QuirkyDoor, door: ChangerDoor) -> None:
    quirky.next = [RESET, MAIL, RESET]
    asked = changer_command("MOVE MEDIUM").build(source=256, destination=1025)
    assert [answer(door, asked) for _ in range(2)] == [MAIL, RESET]
    assert quirky.ran == [TEST_UNIT_READY, TEST_UNIT_READY, asked]


def test_a_changer_that_is_reset_for_ever_says_so(quirky: QuirkyDoor, door: ChangerDoor) -> None:
    quirky.next = [RESET] * 20
    assert answer(door, READ_STATUS.build(count=9, allocation=99)) == RESET
    assert len(quirky.next) == 12

"""Mode, log and density pages of a virtual drive."""

from __future__ import annotations

import msgspec
import pytest

from tapekit.hookspecs.tape_driver import DriveStatus, TapePosition
from tapekit.scsi.cdb import tape_command
from tapekit.scsi.log import (
    CAPACITY_PAGE,
    SEQUENTIAL_PAGE,
    VOLUME_PAGE,
    decode_alerts,
    decode_log,
)
from tapekit.scsi.mode import BlockDescriptor, ModeData, ModePage, decode_mode, encode_mode
from tapekit_vtape.index_format import Header
from tapekit_vtape.models import MODELS, VIRTUAL, DriveModel
from tapekit_vtape.tape_pages import (
    COMPRESSION_LOG_PAGE,
    Extents,
    TapeModes,
    Traffic,
    alert_page,
    densities,
    log_page,
    page_list,
)
from tapekit_vtape.target import Refusal, Request

STATUS = DriveStatus(
    has_tape=True,
    write_protected=False,
    position=TapePosition(0, 0),
    block_size=0,
    soft_errors=0,
    total_bytes=100 << 20,
    remaining_bytes=40 << 20,
)
EMPTY = msgspec.structs.replace(STATUS, has_tape=False, total_bytes=None, remaining_bytes=None)
LIMIT = 1 << 20
IDLE = Traffic()


class MemoryDrive:
    """A drive that is as a test says."""

    def __init__(
        self,
        status: DriveStatus = STATUS,
        *,
        model: DriveModel = VIRTUAL,
        density: int = 0,
        is_worm: bool = False,
        can_compress: bool = False,
    ) -> None:
        self._status = status
        self._medium = Header("T00001", 1 << 30, 1 << 20, is_worm=is_worm, density=density)
        self.model = model
        self.can_compress = self.is_compressing = can_compress

    def compress(self, *, is_on: bool) -> None:
        self.is_compressing = is_on

    def medium(self) -> Header | None:
        return self._medium if self._status.has_tape else None

    @property
    def is_protected(self) -> bool:
        return self._status.write_protected

    def status(self) -> DriveStatus:
        return self._status


@pytest.fixture
def modes() -> TapeModes:
    return TapeModes(MemoryDrive(), LIMIT)


@pytest.fixture
def drive() -> MemoryDrive:
    return MemoryDrive(can_compress=True)


def request(name: str, data: bytes = b"", **values: int) -> Request:
    command = tape_command(name)
    return Request(command.parse(command.build(**values)), data)


def sensed(modes: TapeModes, **values: int) -> ModeData:
    short = decode_mode(modes.sense_6(request("MODE SENSE(6)", **values)).data, is_long=False)
    long = decode_mode(modes.sense_10(request("MODE SENSE(10)", **values)).data, is_long=True)
    assert short == long
    return short


def select(modes: TapeModes, data: ModeData, *, is_long: bool = False) -> None:
    encoded = encode_mode(data, is_long=is_long)
    length = len(encoded)
    if is_long:
        answer = modes.select_10(request("MODE SELECT(10)", encoded, list_length=length))
    else:
        answer = modes.select_6(request("MODE SELECT(6)", encoded, list_length=length))
    assert answer.written == length


def code_of(refusal: pytest.ExceptionInfo[Refusal]) -> str:
    return str(refusal.value.sense).partition(",")[0]


def test_the_drive_looks_like_lto(modes: TapeModes) -> None:
    found = sensed(modes, page=0x3F)
    assert found.descriptor == BlockDescriptor(0x5A, 0)
    assert (found.medium_type, found.buffered_mode, found.is_protected) == (0x68, 1, False)
    assert [page.code for page in found.pages] == [0x0F, 0x10, 0x11, 0x1C]
    assert TapeModes(MemoryDrive(EMPTY), LIMIT).sense_6(request("MODE SENSE(6)")).data[1] == 0


def test_one_page_can_be_asked_for(modes: TapeModes) -> None:
    assert [page.code for page in sensed(modes, page=0x0F).pages] == [0x0F]
    assert sensed(modes).pages == ()
    assert sensed(modes, page=0x10, no_descriptor=1).descriptor is None


def test_compression_is_neither_on_nor_possible(modes: TapeModes) -> None:
    (page,) = sensed(modes, page=0x0F).pages
    assert page.body[0] & 0xC0 == 0


def test_no_page_can_be_changed_and_says_so(modes: TapeModes) -> None:
    for page in sensed(modes, page=0x3F, control=1).pages:
        assert not any(page.body)


@pytest.mark.parametrize(
    "values", [{"page": 0x1D}, {"page": 0x0F, "subpage": 1}, {"page": 0x0F, "control": 3}]
)
def test_pages_that_there_are_not_are_refused(modes: TapeModes, values: dict[str, int]) -> None:
    with pytest.raises(Refusal) as refusal:
        sensed(modes, **values)
    assert code_of(refusal) == "5/24/00"


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("density", [0, 0x7F, 0x5A])
def test_a_block_length_is_set_and_reset(modes: TapeModes, is_long: bool, density: int) -> None:
    wanted = ModeData(buffered_mode=1, descriptor=BlockDescriptor(density, 512))
    select(modes, wanted, is_long=is_long)
    assert sensed(modes).descriptor == BlockDescriptor(0x5A, 512)
    assert sensed(modes, control=2).descriptor == BlockDescriptor(0x5A, 0)
    modes.reset()
    assert modes.block_length == 0


def test_what_was_sensed_may_be_sent_back(modes: TapeModes) -> None:
    select(modes, sensed(modes, page=0x3F))
    assert modes.block_length == 0


@pytest.mark.parametrize(
    "data",
    [
        ModeData(descriptor=BlockDescriptor(0x58, 0)),
        ModeData(descriptor=BlockDescriptor(0, LIMIT + 1)),
        ModeData(pages=(ModePage(0x0F, bytes((0x80,)) + bytes(13)),)),
        ModeData(pages=(ModePage(0x1D, bytes(18)),)),
    ],
)
def test_what_cannot_be_changed_is_refused(modes: TapeModes, data: ModeData) -> None:
    with pytest.raises(Refusal) as refusal:
        select(modes, data)
    assert code_of(refusal) == "5/26/00"
    assert modes.block_length == 0


def test_a_list_that_cannot_be_read_is_refused(modes: TapeModes) -> None:
    with pytest.raises(Refusal) as refusal:
        modes.select_6(request("MODE SELECT(6)", b"abc", list_length=3))
    assert code_of(refusal) == "5/1A/00"
    with pytest.raises(Refusal) as refusal:
        modes.select_6(request("MODE SELECT(6)", b"", save=1))
    assert code_of(refusal) == "5/24/00"


@pytest.mark.requirement("R049")
def test_compression_is_told_and_switched(drive: MemoryDrive) -> None:
    modes = TapeModes(drive, LIMIT)
    (on,) = sensed(modes, page=0x0F).pages
    assert on.body.hex(" ", 4) == "c080 00000001 00000001 00000000"
    (mask,) = sensed(modes, page=0x0F, control=1).pages
    assert mask.body == bytes((0x80,)) + bytes(13)
    off = ModePage(0x0F, bytes((0x40,)) + on.body[1:])
    select(modes, ModeData(pages=(off,)))
    assert not drive.is_compressing
    assert sensed(modes, page=0x0F).pages[0].body.hex(" ", 4) == "4080 00000000 00000001 00000000"
    assert sensed(modes, page=0x10).pages[0].body[12] == 0
    select(modes, ModeData(pages=(on,)), is_long=True)
    assert drive.is_compressing
    configuration = sensed(modes, page=0x10).pages[0].body
    select(modes, ModeData(pages=(ModePage(0x10, configuration[:12] + bytes(2)),)))
    assert not drive.is_compressing
    assert sensed(modes, page=0x0F, control=2).pages == (on,)
    select(modes, sensed(modes, page=0x3F))
    assert not drive.is_compressing, "what was sensed changes nothing"


@pytest.mark.parametrize(
    "page",
    [
        ModePage(0x0F, bytes.fromhex("c080 00000010 00000001 00000000")),
        ModePage(0x0F, bytes.fromhex("c000 00000001 00000001 00000000")),
        ModePage(0x0F, bytes.fromhex("c0")),
        ModePage(0x11, bytes(6)),
    ],
)
def test_another_algorithm_is_refused(drive: MemoryDrive, page: ModePage) -> None:
    with pytest.raises(Refusal) as refusal:
        select(TapeModes(drive, LIMIT), ModeData(pages=(page,)))
    assert code_of(refusal) == "5/26/00"
    assert drive.is_compressing


def test_the_tape_tells_its_generation() -> None:
    worm = MemoryDrive(model=MODELS["lto8"], density=0x5C, is_worm=True)
    found = sensed(TapeModes(worm, LIMIT))
    assert (found.medium_type, found.descriptor) == (0x7C, BlockDescriptor(0x5C, 0))
    empty = sensed(TapeModes(MemoryDrive(EMPTY, model=MODELS["lto8"]), LIMIT))
    assert (empty.medium_type, empty.descriptor) == (0, BlockDescriptor(0x5E, 0))


def values_of(
    page: int,
    status: DriveStatus,
    traffic: Traffic = IDLE,
    extents: Extents | None = None,
) -> dict[int, int]:
    data = log_page(page, status, traffic, extents)
    assert data is not None
    return {code: int.from_bytes(value, "big") for code, value in decode_log(data, page)}


def test_capacity_is_told_in_megabytes() -> None:
    assert values_of(CAPACITY_PAGE, STATUS) == {1: 40, 2: 0, 3: 100, 4: 0}
    assert values_of(CAPACITY_PAGE, EMPTY) == {1: 0, 2: 0, 3: 0, 4: 0}


def test_what_is_used_is_told_in_megabytes() -> None:
    traffic = Traffic(1000, 500, 20, 80)
    told = {0: 1000, 1: 500, 2: 20, 3: 80, 4: 60, 5: 90, 6: 10, 7: 25, 0x100: 0}
    extents = Extents(data=60_000_001, warning=90_000_000, end=100_000_000, head=25_999_999)
    assert values_of(SEQUENTIAL_PAGE, STATUS, traffic, extents) == told
    assert values_of(SEQUENTIAL_PAGE, EMPTY)[7] == 0xFFFF_FFFF
    told = {0x16: 100, 0x17: 60, 0x80: STATUS.write_protected}
    assert values_of(VOLUME_PAGE, STATUS, extents=extents) == told
    assert values_of(VOLUME_PAGE, EMPTY) == {}


def test_compression_is_told_in_hundredths_and_megabytes() -> None:
    traffic = Traffic(from_host=(5 << 20) + 7, to_medium=2 << 20, from_medium=1 << 20, to_host=0)
    assert values_of(COMPRESSION_LOG_PAGE, STATUS, traffic) == {
        0: 0,
        1: 250,
        2: 0,
        3: 0,
        4: 1,
        5: 0,
        6: 5,
        7: 7,
        8: 2,
        9: 0,
    }
    assert values_of(COMPRESSION_LOG_PAGE, STATUS)[1] == 0


@pytest.mark.parametrize("alerts", [frozenset[int](), frozenset({12, 20})])
def test_alerts_are_told(alerts: frozenset[int]) -> None:
    assert decode_alerts(alert_page(alerts)) == alerts


def test_pages_are_listed_and_others_are_none() -> None:
    assert page_list() == bytes.fromhex("00 00 0008 00 02 03 0c 17 1b 2e 31")
    assert log_page(0x18, STATUS, Traffic(), None) is None


def rows_of(data: bytes) -> list[bytes]:
    assert int.from_bytes(data[:2], "big") == len(data) - 2
    assert (len(data) - 4) % 52 == 0
    return [data[at : at + 52] for at in range(4, len(data), 52)]


def test_the_density_of_a_tape_is_that_of_the_modes() -> None:
    (row,) = rows_of(densities(MemoryDrive(), of_medium=True))
    assert row[:2] == bytes((0x5A, 0x5A))
    assert int.from_bytes(row[12:16], "big") == (100 << 20) // 10**6


def test_a_drive_tells_what_it_reads_and_what_it_writes() -> None:
    rows = rows_of(densities(MemoryDrive(model=MODELS["lto7"]), of_medium=False))
    assert [(row[0], row[2]) for row in rows] == [(0x58, 0), (0x5A, 0x80), (0x5C, 0xA0)]
    assert [int.from_bytes(row[12:16], "big") for row in rows] == [1_500_000, 2_500_000, 6_000_000]
    assert rows[2][16:32] == b"LTO-CVE U-732   "

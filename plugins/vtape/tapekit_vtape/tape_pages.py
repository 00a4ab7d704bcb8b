"""What a virtual drive tells of itself: modes, logs, densities.

The pages are those of an LTO drive of the model that the settings choose.
Modes that a client has set are kept here, or in the drive, until the next
reset or tape. The one rule: what cannot be changed is refused when somebody
tries, and never taken in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, final

from tapekit.scsi.log import (
    CAPACITY_PAGE,
    PAGE_LIST,
    READ_ERRORS_PAGE,
    SEQUENTIAL_PAGE,
    TAPE_ALERT_PAGE,
    VOLUME_PAGE,
    WRITE_ERRORS_PAGE,
    LogParameter,
    encode_alerts,
    encode_log,
    encode_log_list,
)
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.mode import (
    ALL_PAGES,
    COMPRESSION_PAGE,
    CONFIGURATION_PAGE,
    BlockDescriptor,
    ModeData,
    ModePage,
    decode_mode,
    encode_mode,
)
from tapekit_vtape.models import GENERATIONS, generation_of
from tapekit_vtape.target import BAD_FIELD, BAD_PARAMETER, Answer, Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit.hookspecs.tape_driver import DriveStatus
    from tapekit.scsi.sense import Sense
    from tapekit_vtape.index_format import Header
    from tapekit_vtape.models import DriveModel, Generation
    from tapekit_vtape.tape_map import Run
    from tapekit_vtape.target import Request

__all__ = [
    "COMPRESSION_LOG_PAGE",
    "Extents",
    "ModalDrive",
    "TapeModes",
    "Traffic",
    "alert_page",
    "densities",
    "log_page",
    "page_list",
]

COMPRESSION_LOG_PAGE: Final = 0x1B

_ANY_MEDIUM: Final = 0x68
"""Medium type of cartridges that belong to no generation: the sixth's."""

_WORM_MEDIUM: Final = 4
_BUFFERED: Final = 1
_CURRENT, _CHANGEABLE, _DEFAULT = 0, 1, 2

_ENABLED, _CAPABLE, _DECOMPRESSES = 0x80, 0x40, 0x80
_ALGORITHM: Final = 1
"""The default algorithm of a drive (SSC, data compression page)."""

_SELECTS: Final = 12
"""Where page 10h chooses whether to compress."""

_FIXED_PAGES: Final = (
    # One partition, and none more.
    ModePage(0x11, bytes((0, 0, 0, 0, 0x03, 0))),
    # Exceptions are told through the log page.
    ModePage(0x1C, bytes((0x08, 0x03, 0, 0, 0, 0, 0, 0, 0, 0))),
)

_MEGABYTE: Final = 1 << 20
_UNKNOWN: Final = 0xFFFF_FFFF


class Traffic(NamedTuple):
    """Bytes that went through a drive since it was opened."""

    from_host: int = 0
    to_medium: int = 0
    """What they became there."""
    from_medium: int = 0
    to_host: int = 0

    def written(self, records: int, stored: int) -> Traffic:
        """After writing so many bytes of records, which became so many."""
        return self._replace(from_host=self.from_host + records, to_medium=self.to_medium + stored)

    def read(self, run: Run, length: int) -> Traffic:
        """After reading so many bytes of the records of a run."""
        whole = run.length * run.objects
        stored = length * run.packed // whole if run.packed else length
        return self._replace(to_host=self.to_host + length, from_medium=self.from_medium + stored)


class Extents(NamedTuple):
    """How many bytes lie between the beginning of a tape and ..."""

    data: int
    """the end of the data,"""
    warning: int
    """the early warning,"""
    end: int
    """the end of the tape,"""
    head: int
    """the place of the head."""


class ModalDrive(Protocol):
    """What modes are about."""

    @property
    def model(self) -> DriveModel:
        """What the drive is."""
        ...

    @property
    def can_compress(self) -> bool:
        """Whether it may be told to."""
        ...

    @property
    def is_compressing(self) -> bool:
        """Whether it does."""
        ...

    def compress(self, *, is_on: bool) -> None:
        """Compress what is written from now on, or not."""
        ...

    def medium(self) -> Header | None:
        """The attributes of the tape in it."""
        ...

    @property
    def is_protected(self) -> bool:
        """Whether there is a tape in it that it must not or cannot write."""
        ...

    def status(self) -> DriveStatus:
        """Its state."""
        ...


@final
class TapeModes:
    """The modes of an opened drive."""

    def __init__(self, drive: ModalDrive, longest_block: int) -> None:
        self._drive: Final = drive
        self._longest_block: Final = longest_block
        self.block_length = 0
        """Bytes of a fixed block, or 0 while there are none."""

    def reset(self) -> None:
        """Back to blocks of any length."""
        self.block_length = 0

    def sense_6(self, request: Request) -> Answer:
        """MODE SENSE(6)."""
        return Answer(encode_mode(self._sensed(request.values), is_long=False))

    def sense_10(self, request: Request) -> Answer:
        """MODE SENSE(10)."""
        return Answer(encode_mode(self._sensed(request.values), is_long=True))

    def _pages(self, *, is_on: bool) -> Mapping[int, ModePage]:
        """All pages, with compression on or off."""
        drive = self._drive
        algorithm = (_ALGORITHM if is_on else 0).to_bytes(4, "big")
        decompresses = _ALGORITHM.to_bytes(4, "big") if drive.can_compress else bytes(4)
        flags = bytes(
            (_ENABLED * is_on | _CAPABLE * drive.can_compress, _DECOMPRESSES * drive.can_compress)
        )
        # Behind the block identifiers, end of data marks itself, and the
        # drive writes filemarks out at once.
        configuration = bytes((0, 0, 0, 0, 0, 0, 0x40, 0, 0x10, 0, 0, 0, is_on, 0))
        pages = (
            ModePage(COMPRESSION_PAGE, flags + algorithm + decompresses + bytes(4)),
            ModePage(CONFIGURATION_PAGE, configuration),
            *_FIXED_PAGES,
        )
        return {page.code: page for page in pages}

    def _changeable(self, page: ModePage) -> ModePage:
        """The bits of a page that can be set."""
        mask = bytearray(len(page.body))
        if self._drive.can_compress and page.code == COMPRESSION_PAGE:
            mask[0] = _ENABLED
        if self._drive.can_compress and page.code == CONFIGURATION_PAGE:
            mask[_SELECTS] = 1
        return ModePage(page.code, bytes(mask))

    def _density(self) -> int:
        medium = self._drive.medium()
        return medium.density if medium and medium.density else self._drive.model.density

    def _medium_type(self) -> int:
        medium = self._drive.medium()
        if medium is None:
            return 0
        density, is_worm = medium.density, medium.is_worm
        generation = generation_of(density)
        kind = generation.medium_type if generation else _ANY_MEDIUM
        return kind + _WORM_MEDIUM * is_worm

    def _sensed(self, values: Mapping[str, int]) -> ModeData:
        page, control = values["page"], values["control"]
        if values["subpage"] or control not in (_CURRENT, _CHANGEABLE, _DEFAULT):
            raise Refusal(BAD_FIELD._replace(field=3 if values["subpage"] else 2))
        drive = self._drive
        is_on = drive.can_compress if control == _DEFAULT else drive.is_compressing
        known = self._pages(is_on=is_on)
        if page == ALL_PAGES:
            pages = tuple(known.values())
        elif page in known:
            pages = (known[page],)
        elif page == 0 and not values["no_descriptor"]:
            pages = ()
        else:
            raise Refusal(BAD_FIELD._replace(field=2))
        if control == _CHANGEABLE:
            pages = tuple(map(self._changeable, pages))
        length = self.block_length if control == _CURRENT else 0
        descriptor = BlockDescriptor(self._density(), length)
        return ModeData(
            medium_type=self._medium_type(),
            is_protected=drive.is_protected,
            buffered_mode=_BUFFERED,
            descriptor=None if values["no_descriptor"] else descriptor,
            pages=pages,
        )

    def select_6(self, request: Request) -> Answer:
        """MODE SELECT(6)."""
        return self._select(request, is_long=False)

    def select_10(self, request: Request) -> Answer:
        """MODE SELECT(10)."""
        return self._select(request, is_long=True)

    def _select(self, request: Request, *, is_long: bool) -> Answer:
        length = request.values["list_length"]
        if request.values["save"]:
            raise Refusal(BAD_FIELD._replace(field=1))
        if not length:
            return Answer()
        try:
            wanted = decode_mode(_unannounced(request.data[:length]), is_long=is_long)
        except Malformed:
            raise Refusal(_BAD_LIST) from None
        is_on = self._drive.is_compressing
        for page in wanted.pages:
            is_on = self._chosen(page, is_on=is_on)
        if wanted.descriptor is not None:
            density, block_length = wanted.descriptor
            if density not in (0x00, 0x7F, self._density()) or block_length > self._longest_block:
                raise Refusal(BAD_PARAMETER)
            self.block_length = block_length
        self._drive.compress(is_on=is_on)
        return Answer(written=length)

    def _chosen(self, page: ModePage, *, is_on: bool) -> bool:
        """Whether a page that a client sends wants compression on; a page
        that changes nothing leaves what others of the list have chosen.
        """
        off, on = (self._pages(is_on=value).get(page.code) for value in (False, True))
        if page == self._pages(is_on=self._drive.is_compressing).get(page.code):
            return is_on
        if off is None or on is None or not self._drive.can_compress:
            raise Refusal(BAD_PARAMETER)
        # The switch may be turned with the algorithm left as it was.
        mask = self._changeable(on).body
        accepted = (on, off, _with_switch(on, off, mask), _with_switch(off, on, mask))
        if page not in accepted:
            raise Refusal(BAD_PARAMETER)
        return any(one & bit for one, bit in zip(page.body, mask, strict=True))


def _with_switch(page: ModePage, other: ModePage, mask: bytes) -> ModePage:
    """A page with the changeable bits of another."""
    body = bytes(
        one & ~bit | two & bit for one, two, bit in zip(page.body, other.body, mask, strict=True)
    )
    return ModePage(page.code, body)


_BAD_LIST: Final[Sense] = BAD_PARAMETER._replace(asc=0x1A)


def _unannounced(data: bytes) -> bytes:
    """A parameter list whose length field is zero, as it has to be; some
    clients send back what they got.
    """
    return b"\0" + data[1:] if data[:1] else data


def page_list() -> bytes:
    """The log pages that there are."""
    return encode_log_list(
        (
            PAGE_LIST,
            WRITE_ERRORS_PAGE,
            READ_ERRORS_PAGE,
            SEQUENTIAL_PAGE,
            VOLUME_PAGE,
            COMPRESSION_LOG_PAGE,
            TAPE_ALERT_PAGE,
            CAPACITY_PAGE,
        )
    )


def alert_page(alerts: frozenset[int]) -> bytes:
    """The flags of TapeAlert that are raised."""
    return encode_alerts(alerts)


def log_page(
    page: int,
    status: DriveStatus,
    traffic: Traffic,
    extents: Extents | None,
    *,
    wants_cleaning: bool = False,
) -> bytes | None:
    """A log page of counters (SSC), or ``None`` if the drive has no such page."""
    total, remaining = status.total_bytes, status.remaining_bytes
    if page == CAPACITY_PAGE:
        sizes = (remaining, 0, total, 0)
        return encode_log(
            page,
            (
                LogParameter(code, ((size or 0) // _MEGABYTE).to_bytes(4, "big"))
                for code, size in enumerate(sizes, 1)
            ),
        )
    if page == SEQUENTIAL_PAGE:
        bytes_so_far = [
            LogParameter(code, size.to_bytes(8, "big")) for code, size in enumerate(traffic)
        ]
        cleaning = wants_cleaning.to_bytes(8, "big")
        counters = [LogParameter(code, size) for code, size in enumerate(_extents(extents), 4)]
        return encode_log(page, (*bytes_so_far, *counters, LogParameter(0x0100, cleaning)))
    if page == COMPRESSION_LOG_PAGE:
        return encode_log(page, _compression(traffic))
    if page == VOLUME_PAGE:
        return encode_log(page, _volume(status, extents))
    if page in (WRITE_ERRORS_PAGE, READ_ERRORS_PAGE):
        moved = traffic.to_medium if page == WRITE_ERRORS_PAGE else traffic.from_medium
        return encode_log(page, (_NOTHING_CORRECTED, LogParameter(5, moved.to_bytes(8, "big"))))
    return None


_NOTHING_CORRECTED: Final = LogParameter(3, bytes(4))
"""What is read from a file is right, or cannot be read."""


def _extents(extents: Extents | None) -> list[bytes]:
    """End of data, early warning, what is behind that, place of the head."""
    if extents is None:
        return [_megabytes(None)] * 4
    data, warning, end, head = extents
    return [_megabytes(size) for size in (data, warning, end - warning, head)]


def _volume(status: DriveStatus, extents: Extents | None) -> list[LogParameter]:
    """Of the tape alone: its sizes, and whether it can be written."""
    if extents is None:
        return []
    return [
        LogParameter(0x16, _megabytes(extents.end)),
        LogParameter(0x17, _megabytes(extents.data)),
        LogParameter(0x80, bytes((status.write_protected,))),
    ]


def _compression(traffic: Traffic) -> list[LogParameter]:
    """Ratios in hundredths, then what was moved, in megabytes and the bytes
    that are left over.
    """
    ratios = (
        _hundredths(traffic.to_host, traffic.from_medium),
        _hundredths(traffic.from_host, traffic.to_medium),
    )
    moved = (traffic.to_host, traffic.from_medium, traffic.from_host, traffic.to_medium)
    found = [LogParameter(code, ratio.to_bytes(2, "big")) for code, ratio in enumerate(ratios)]
    for number, size in enumerate(moved):
        for code, value in enumerate(divmod(size, _MEGABYTE), 2 + 2 * number):
            found.append(LogParameter(code, value.to_bytes(4, "big")))
    return found


def _hundredths(records: int, medium: int) -> int:
    return min(records * 100 // medium, 0xFFFF) if medium else 0


def _megabytes(size: int | None) -> bytes:
    """Decimal megabytes, as these pages count (SSC)."""
    return (_UNKNOWN if size is None else min(size // 10**6, _UNKNOWN - 1)).to_bytes(4, "big")


def densities(drive: ModalDrive, *, of_medium: bool) -> bytes:
    """The densities that the drive has, or that of its tape (SSC, REPORT
    DENSITY SUPPORT).
    """
    model = drive.model
    medium = drive.medium() if of_medium else None
    if medium is not None:
        generation = generation_of(medium.density) or model.generation
        capacity = drive.status().total_bytes or 0
        rows = _density_row(generation, model, capacity)
    else:
        rows = b"".join(
            _density_row(one, model, one.native_bytes)
            for one in GENERATIONS
            if one.density in model.reads
        )
    return (len(rows) + 2).to_bytes(2, "big") + bytes(2) + rows


_WRITES, _IS_DEFAULT = 0x80, 0x20


def _density_row(one: Generation, model: DriveModel, capacity: int) -> bytes:
    can_write = one.density in model.writes
    is_default = one.density == model.density
    return (
        bytes((one.density, one.density, _WRITES * can_write | _IS_DEFAULT * is_default, 0, 0))
        + one.bits_per_mm.to_bytes(3, "big")
        + (127).to_bytes(2, "big")  # width of the tape in tenths of a millimetre
        + one.tracks.to_bytes(2, "big")
        + min(capacity // 1_000_000, 0xFFFF_FFFF).to_bytes(4, "big")
        + b"LTO-CVE "
        + one.name.encode("ascii").ljust(8)
        + b"Ultrium %d" % one.number
    ).ljust(52)

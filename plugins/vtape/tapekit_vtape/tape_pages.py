"""What a virtual drive tells of itself: modes, logs, densities.

The drive looks like one of the sixth generation of LTO, whose density code
any application knows, and compresses nothing. Modes that a client has set
are kept here until the next reset or tape. The one rule: what cannot be
changed is refused when somebody tries, and never taken in silence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from tapekit.scsi.log import (
    CAPACITY_PAGE,
    PAGE_LIST,
    SEQUENTIAL_PAGE,
    TAPE_ALERT_PAGE,
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
from tapekit_vtape.target import BAD_FIELD, BAD_PARAMETER, Answer, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit.hookspecs.tape_driver import DriveStatus
    from tapekit.scsi.sense import Sense
    from tapekit_vtape.target import Request

__all__ = ["TapeModes", "densities", "log_page"]

_DENSITY: Final = 0x5A
"""LTO, generation 6."""

_MEDIUM_TYPE: Final = 0x68
_BUFFERED: Final = 1
_SAME_DENSITY: Final = frozenset({0x00, 0x7F, _DENSITY})
_CURRENT, _CHANGEABLE, _DEFAULT = 0, 1, 2

_PAGES: Final[Mapping[int, ModePage]] = {
    page.code: page
    for page in (
        # Neither on nor possible.
        ModePage(COMPRESSION_PAGE, bytes(14)),
        # Behind the block identifiers, end of data marks itself, and the
        # drive writes filemarks out at once.
        ModePage(CONFIGURATION_PAGE, bytes((0, 0, 0, 0, 0, 0, 0x40, 0, 0x10, 0, 0, 0, 0, 0))),
        # One partition, and none more.
        ModePage(0x11, bytes((0, 0, 0, 0, 0x03, 0))),
        # Exceptions are told through the log page.
        ModePage(0x1C, bytes((0x08, 0x03, 0, 0, 0, 0, 0, 0, 0, 0))),
    )
}

_MEGABYTE: Final = 1 << 20
_UNKNOWN: Final = 0xFFFF_FFFF


@final
class TapeModes:
    """The modes of an opened drive."""

    def __init__(self, status: Callable[[], DriveStatus], longest_block: int) -> None:
        self._status: Final = status
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

    def _sensed(self, values: Mapping[str, int]) -> ModeData:
        page, control = values["page"], values["control"]
        if values["subpage"] or control not in (_CURRENT, _CHANGEABLE, _DEFAULT):
            raise Refusal(BAD_FIELD._replace(field=3 if values["subpage"] else 2))
        if page == ALL_PAGES:
            pages = tuple(_PAGES.values())
        elif page in _PAGES:
            pages = (_PAGES[page],)
        elif page == 0 and not values["no_descriptor"]:
            pages = ()
        else:
            raise Refusal(BAD_FIELD._replace(field=2))
        if control == _CHANGEABLE:
            pages = tuple(ModePage(page.code, bytes(len(page.body))) for page in pages)
        status = self._status()
        length = self.block_length if control == _CURRENT else 0
        return ModeData(
            medium_type=_MEDIUM_TYPE if status.has_tape else 0,
            is_protected=status.write_protected,
            buffered_mode=_BUFFERED,
            descriptor=None if values["no_descriptor"] else BlockDescriptor(_DENSITY, length),
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
        for page in wanted.pages:
            if _PAGES.get(page.code) != page:
                raise Refusal(BAD_PARAMETER)
        if wanted.descriptor is not None:
            density, block_length = wanted.descriptor
            if density not in _SAME_DENSITY or block_length > self._longest_block:
                raise Refusal(BAD_PARAMETER)
            self.block_length = block_length
        return Answer(written=length)


_BAD_LIST: Final[Sense] = BAD_PARAMETER._replace(asc=0x1A)


def _unannounced(data: bytes) -> bytes:
    """A parameter list whose length field is zero, as it has to be; some
    clients send back what they got.
    """
    return b"\0" + data[1:] if data[:1] else data


def log_page(page: int, status: DriveStatus, alerts: frozenset[int]) -> bytes | None:
    """A log page (SSC), or ``None`` if the drive has no such page.

    :param alerts: the flags of TapeAlert that are raised.
    """
    if page == PAGE_LIST:
        return encode_log_list((PAGE_LIST, SEQUENTIAL_PAGE, TAPE_ALERT_PAGE, CAPACITY_PAGE))
    if page == TAPE_ALERT_PAGE:
        return encode_alerts(alerts)
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
        used = None if total is None or remaining is None else total - remaining
        sizes_now = ((4, total), (5, total), (7, used))
        counters = [LogParameter(code, _megabytes(size)) for code, size in sizes_now]
        return encode_log(page, (*counters, LogParameter(0x0100, bytes(8))))
    return None


def _megabytes(size: int | None) -> bytes:
    return (_UNKNOWN if size is None else min(size // _MEGABYTE, _UNKNOWN - 1)).to_bytes(4, "big")


def densities(status: DriveStatus) -> bytes:
    """The one density that the drive has (SSC, REPORT DENSITY SUPPORT)."""
    capacity = min((status.total_bytes or 0) // 1_000_000, 0xFFFF_FFFF)
    row = (
        bytes((_DENSITY, _DENSITY, 0xA0))  # can be written, and is the default
        + bytes(2)
        + (15142).to_bytes(3, "big")  # bits a millimetre
        + (127).to_bytes(2, "big")  # width of the tape in tenths of a millimetre
        + (2176).to_bytes(2, "big")  # tracks
        + capacity.to_bytes(4, "big")
        + b"LTO-CVE "
        + b"U-616   "
        + b"Virtual tape in a file"[:20].ljust(20)
    )
    return (len(row) + 2).to_bytes(2, "big") + bytes(2) + row

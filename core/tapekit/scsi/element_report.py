"""READ ELEMENT STATUS as pages of descriptors, for those who pass it on.

A report is taken apart into its pages and put together anew, with the counts
that a changer gives (SMC, element status data); what a descriptor says is not
looked into. The one rule: a report is cut between descriptors alone, and its
counts tell of the whole of it, however little of it there is room for.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.elements import ElementType
from tapekit.scsi.malformed import Malformed, at_least, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "REPORT_HEADER_BYTES",
    "StatusPage",
    "cut_report",
    "join_report",
    "report_length",
    "split_report",
]

REPORT_HEADER_BYTES: Final = 8
_PAGE_HEADER_BYTES: Final = 8
_FIXED_BYTES: Final = 12
_TAG_BYTES, _TAG_TEXT_BYTES = 36, 32
_PRIMARY_TAG, _ALTERNATE_TAG = 0x80, 0x40
_FLAGS_AT: Final = 2
_ACCESS: Final[Mapping[int, int]] = MappingProxyType(
    {ElementType.STORAGE: 0x08, ElementType.IMPORT_EXPORT: 0x38, ElementType.DRIVE: 0x08}
)
"""Flags of descriptors that say that the robot reaches an element, with those
of mail slots that cartridges come and go there (SMC: ACCESS, INENAB, EXENAB)."""


class StatusPage(NamedTuple):
    """The elements of one type (SMC, element status page)."""

    type: int
    flags: int
    """Which volume tags its descriptors have."""
    size: int
    """Bytes of each descriptor."""
    descriptors: Sequence[bytes]

    @property
    def tags_bytes(self) -> int:
        """Bytes of the volume tags in each descriptor."""
        return _TAG_BYTES * (self.flags & (_PRIMARY_TAG | _ALTERNATE_TAG)).bit_count()

    def without_tags(self) -> StatusPage:
        """The page as it is where no volume tags were asked for."""
        end = _FIXED_BYTES + self.tags_bytes
        return StatusPage(
            self.type,
            self.flags & ~(_PRIMARY_TAG | _ALTERNATE_TAG),
            self.size - self.tags_bytes,
            [one[:_FIXED_BYTES] + one[end:] for one in self.descriptors],
        )

    def accessible(self) -> StatusPage:
        """The page of a robot that reaches all of these elements, and by mail
        slots brings cartridges in and out; an arm has no such flags.
        """
        flags = _ACCESS.get(self.type, 0)
        return self._replace(
            descriptors=[
                one[:_FLAGS_AT] + bytes((one[_FLAGS_AT] | flags,)) + one[_FLAGS_AT + 1 :]
                for one in self.descriptors
            ]
        )


def report_length(data: bytes) -> int:
    """Bytes of the whole report, as its header tells.

    :raises Malformed: not even the header came.
    """
    at_least(data, REPORT_HEADER_BYTES, "element status data")
    return REPORT_HEADER_BYTES + number(data, 5, 3)


def split_report(data: bytes) -> list[StatusPage]:
    """The pages of a report.

    What lacks at its end is taken for zeros as long as nothing that counts is
    lost with it; an identifier that was cut off is left out.

    :raises Malformed: a page cannot be read, more than that is lacking, or
        another number of elements came than the header tells.
    """
    at_least(data, REPORT_HEADER_BYTES, "element status data")
    rest = data[REPORT_HEADER_BYTES:]
    pages = []
    while len(rest) >= _PAGE_HEADER_BYTES:
        length = _PAGE_HEADER_BYTES + number(rest, 5, 3)
        pages.append(_page(rest[:length], length))
        rest = rest[length:]
    came, announced = sum(len(page.descriptors) for page in pages), number(data, 2, 2)
    if came != announced:
        raise Malformed(f"{came} elements came of {announced}")
    return pages


def _page(data: bytes, length: int) -> StatusPage:
    page = StatusPage(data[0], data[1], number(data, 2, 2), ())
    if page.size < _FIXED_BYTES + page.tags_bytes:
        raise Malformed(f"element descriptors of {page.size} bytes")
    starts = range(_PAGE_HEADER_BYTES, length - page.size + 1, page.size)
    return page._replace(
        descriptors=[_completed(data[start : start + page.size], page) for start in starts]
    )


def _completed(descriptor: bytes, page: StatusPage) -> bytes:
    """A descriptor in its full size."""
    if len(descriptor) == page.size:
        return descriptor
    identifier = _FIXED_BYTES + page.tags_bytes
    # The end of a volume tag is a sequence number, which hardly anybody has.
    spare = _TAG_BYTES - _TAG_TEXT_BYTES if page.tags_bytes else 0
    at_least(descriptor, identifier - spare, "an element descriptor")
    return descriptor[:identifier].ljust(page.size, b"\0")


def join_report(pages: Iterable[StatusPage], most: int) -> bytes:
    """One report of pages.

    :param most: how many elements it has at most, those with the lowest
        addresses (SMC, number of elements).
    """
    ordered = sorted(pages, key=lambda page: page.type)
    lowest = sorted(_address(one) for page in ordered for one in page.descriptors)[:most]
    told = frozenset(lowest)
    kept = [
        page._replace(descriptors=[one for one in page.descriptors if _address(one) in told])
        for page in ordered
    ]
    body = b"".join(_encoded(page) for page in kept if page.descriptors)
    first = lowest[0] if lowest else 0
    count = sum(len(page.descriptors) for page in kept)
    return first.to_bytes(2, "big") + count.to_bytes(2, "big") + len(body).to_bytes(4, "big") + body


def _encoded(page: StatusPage) -> bytes:
    in_order: list[bytes] = sorted(page.descriptors, key=_address)
    body = b"".join(in_order)
    head = bytes((page.type, page.flags)) + page.size.to_bytes(2, "big")
    return head + len(body).to_bytes(4, "big") + body


def _address(descriptor: bytes) -> int:
    return number(descriptor, 0, 2)


def cut_report(report: bytes, room: int) -> bytes:
    """As many whole descriptors of a report as there is room for (SMC,
    allocation length).

    :param report: a whole one.
    """
    if len(report) <= room:
        return report
    end = min(room, REPORT_HEADER_BYTES)
    for stop in _stops(report):
        if stop > room:
            break
        end = stop
    return report[:end]


def _stops(report: bytes) -> Iterator[int]:
    """Where descriptors end."""
    start = REPORT_HEADER_BYTES
    while start < len(report):
        size, length = number(report, start + 2, 2), number(report, start + 5, 3)
        start += _PAGE_HEADER_BYTES
        yield from range(start + size, start + length + 1, size)
        start += length

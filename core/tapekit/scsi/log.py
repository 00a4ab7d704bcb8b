"""Log pages: counters and flags that a device keeps.

A page is a list of parameters, each a code and some bytes. The one rule:
lengths are followed as far as there are bytes, and no further.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.scsi.malformed import Malformed, at_least, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CAPACITY_PAGE",
    "COUNTER_PAGES",
    "PAGE_LIST",
    "READ_ERRORS_PAGE",
    "SEQUENTIAL_PAGE",
    "TAPE_ALERTS",
    "TAPE_ALERT_PAGE",
    "VOLUME_PAGE",
    "WRITE_ERRORS_PAGE",
    "CounterPage",
    "LogParameter",
    "decode_alerts",
    "decode_counters",
    "decode_log",
    "decode_log_list",
    "encode_alerts",
    "encode_log",
    "encode_log_list",
]

PAGE_LIST: Final = 0x00
WRITE_ERRORS_PAGE: Final = 0x02
READ_ERRORS_PAGE: Final = 0x03
SEQUENTIAL_PAGE: Final = 0x0C
VOLUME_PAGE: Final = 0x17
TAPE_ALERT_PAGE: Final = 0x2E
CAPACITY_PAGE: Final = 0x31

_ALERTS: Final = 64
_IS_BINARY_LIST: Final = 0x03

TAPE_ALERTS: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "read warning",
        2: "write warning",
        3: "hard error",
        4: "media",
        5: "read failure",
        6: "write failure",
        7: "media life",
        8: "not data grade",
        9: "write protect",
        10: "no removal",
        11: "cleaning media",
        12: "unsupported format",
        13: "recoverable mechanical cartridge failure",
        14: "unrecoverable mechanical cartridge failure",
        15: "cartridge memory failure",
        16: "forced eject",
        17: "read-only format",
        18: "tape directory corrupted on load",
        19: "nearing media life",
        20: "clean now",
        21: "clean periodic",
        22: "expired cleaning media",
        23: "invalid cleaning tape",
        24: "retension requested",
        25: "multi-port interface error",
        26: "cooling fan failure",
        27: "power supply failure",
        28: "power consumption",
        29: "drive preventive maintenance",
        30: "hardware A",
        31: "hardware B",
        32: "primary interface",
        33: "eject media",
        34: "firmware download failed",
        35: "drive humidity",
        36: "drive temperature",
        37: "drive voltage",
        38: "predictive failure",
        39: "diagnostics required",
        50: "lost statistics",
        51: "tape directory invalid at unload",
        52: "tape system area write failure",
        53: "tape system area read failure",
        54: "no start of data",
        55: "loading or threading failure",
        56: "unload failure",
        57: "automation interface failure",
        58: "firmware failure",
        59: "WORM integrity check failed",
        60: "WORM overwrite attempted",
        61: "encryption policy violation",
    }
)
"""What the flags of a tape drive mean (SSC, TapeAlert); changers number theirs
differently.
"""


class LogParameter(NamedTuple):
    """One counter or flag."""

    code: int
    value: bytes


class CounterPage(NamedTuple):
    """A page of counters, in words."""

    title: str
    counters: Mapping[int, str]
    """What parameters count, by their codes."""


_ERROR_COUNTERS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "corrected without delay",
        1: "corrected with delay",
        2: "total repeated",
        3: "total corrected",
        4: "corrections run",
        5: "bytes processed",
        6: "uncorrected",
    }
)

COUNTER_PAGES: Final[Mapping[int, CounterPage]] = MappingProxyType(
    {
        WRITE_ERRORS_PAGE: CounterPage("write errors", _ERROR_COUNTERS),
        READ_ERRORS_PAGE: CounterPage("read errors", _ERROR_COUNTERS),
        SEQUENTIAL_PAGE: CounterPage(
            "data moved",
            MappingProxyType(
                {
                    0: "bytes from hosts",
                    1: "bytes to the tape",
                    2: "bytes from the tape",
                    3: "bytes to hosts",
                    4: "MB up to the end of the data",
                    5: "MB up to the early warning",
                    6: "MB behind the early warning",
                    7: "MB up to the head",
                    0x0100: "cleaning required",
                }
            ),
        ),
        VOLUME_PAGE: CounterPage(
            "volume statistics",
            MappingProxyType(
                {
                    1: "loads",
                    2: "data sets written",
                    3: "write retries",
                    4: "unrecovered write errors",
                    5: "suspended writes",
                    6: "fatal suspended writes",
                    7: "data sets read",
                    8: "read retries",
                    9: "unrecovered read errors",
                    0x0C: "unrecovered write errors at the last load",
                    0x0D: "unrecovered read errors at the last load",
                    0x0E: "MB written at the last load",
                    0x0F: "MB read at the last load",
                    0x10: "MB written ever",
                    0x11: "MB read ever",
                    0x16: "MB the tape holds",
                    0x17: "MB written so far",
                    0x80: "write protected",
                    0x81: "write once",
                }
            ),
        ),
    }
)
"""What tape drives and tapes count (SPC and SSC, log pages)."""

_LONGEST_COUNTER: Final = 8
"""Bytes of a counter; longer parameters are texts and tables."""


def encode_log(page: int, parameters: Iterable[LogParameter]) -> bytes:
    """A log page."""
    body = b"".join(
        code.to_bytes(2, "big") + bytes((_IS_BINARY_LIST, len(value))) + value
        for code, value in parameters
    )
    return bytes((page, 0)) + len(body).to_bytes(2, "big") + body


def encode_log_list(pages: Iterable[int]) -> bytes:
    """The page that lists the others."""
    codes = bytes(sorted(pages))
    return bytes((PAGE_LIST, 0)) + len(codes).to_bytes(2, "big") + codes


def decode_log_list(data: bytes) -> frozenset[int]:
    """The pages that there are.

    :raises Malformed: it is another page, or too short.
    """
    at_least(data, 4, "the list of log pages")
    if data[0] & 0x3F != PAGE_LIST:
        raise Malformed(f"log page {data[0] & 0x3F:02X}h came for {PAGE_LIST:02X}h")
    return frozenset(code & 0x3F for code in data[4 : 4 + number(data, 2, 2)])


def decode_counters(data: bytes, page: int) -> dict[str, int]:
    """The counters of one of :data:`COUNTER_PAGES`, those that it tells; all
    bits set mean that a counter is not kept.

    :raises Malformed: it is another page, or too short.
    """
    names = COUNTER_PAGES[page].counters
    return {
        names[code]: int.from_bytes(value, "big")
        for code, value in decode_log(data, page)
        if code in names and 0 < len(value) <= _LONGEST_COUNTER and value.strip(b"\xff")
    }


def decode_log(data: bytes, page: int) -> list[LogParameter]:
    """The parameters of a page; one that is cut off is left out.

    :raises Malformed: it is another page, or too short.
    """
    at_least(data, 4, f"log page {page:02X}h")
    if data[0] & 0x3F != page:
        raise Malformed(f"log page {data[0] & 0x3F:02X}h came for {page:02X}h")
    rest = data[4 : 4 + number(data, 2, 2)]
    found = []
    while len(rest) >= 4 and len(rest) >= 4 + rest[3]:
        found.append(LogParameter(number(rest, 0, 2), rest[4 : 4 + rest[3]]))
        rest = rest[4 + rest[3] :]
    return found


def encode_alerts(raised: frozenset[int]) -> bytes:
    """The TapeAlert page with these flags raised, of 1 to 64."""
    return encode_log(
        TAPE_ALERT_PAGE,
        (LogParameter(code, bytes((code in raised,))) for code in range(1, _ALERTS + 1)),
    )


def decode_alerts(data: bytes) -> frozenset[int]:
    """The flags that are raised on a TapeAlert page.

    :raises Malformed: it is another page, or too short.
    """
    return frozenset(
        code
        for code, value in decode_log(data, TAPE_ALERT_PAGE)
        if 1 <= code <= _ALERTS and value[:1] and value[0] & 1
    )

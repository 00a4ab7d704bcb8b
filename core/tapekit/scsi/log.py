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
    "PAGE_LIST",
    "READ_ERRORS_PAGE",
    "SEQUENTIAL_PAGE",
    "TAPE_ALERTS",
    "TAPE_ALERT_PAGE",
    "WRITE_ERRORS_PAGE",
    "LogParameter",
    "decode_alerts",
    "decode_log",
    "encode_alerts",
    "encode_log",
    "encode_log_list",
]

PAGE_LIST: Final = 0x00
WRITE_ERRORS_PAGE: Final = 0x02
READ_ERRORS_PAGE: Final = 0x03
SEQUENTIAL_PAGE: Final = 0x0C
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

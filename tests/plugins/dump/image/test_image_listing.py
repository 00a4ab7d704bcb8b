"""Patterns, and what is shown of a member."""

from __future__ import annotations

import pytest

from tapekit_dump.image_listing import Patterns, device_numbers, kind_of, time_text


@pytest.mark.parametrize(
    ("patterns", "path", "is_chosen"),
    [
        ((), b"any/thing", True),
        (("a",), b"a", True),
        (("a",), b"a/b/c", True),
        (("a",), b"ab", False),
        (("b", "c"), b"c", True),
        (("a/*.c",), b"a/x.c", True),
        (("*.c",), b"a/b/x.c", True),
        (("[ab]?",), b"bx", True),
        (("[ab]?",), b"cx", False),
        (("\udcff",), b"\xff", True),
        (("/./a/",), b"a", True),
        (("/",), b"a", True),
    ],
)
def test_patterns(patterns: tuple[str, ...], path: bytes, *, is_chosen: bool) -> None:
    assert Patterns(patterns).choose(path) == is_chosen


@pytest.mark.parametrize(
    ("number", "numbers"),
    [
        (0x501, (5, 1)),
        (0xFFFFFFFF, (0xFFF, 0xFFFFF)),
        (300 << 8 | 70000 & 0xFF | (70000 >> 8) << 20, (300, 70000)),
    ],
)
def test_device_numbers(number: int, numbers: tuple[int, int]) -> None:
    assert device_numbers(number) == numbers


def test_times_and_kinds() -> None:
    assert time_text(-1) == "1969-12-31 23:59:59Z"
    assert time_text(2**60) == str(2**60)
    assert kind_of(0o140000) == "socket"
    assert kind_of(0) == "unknown"

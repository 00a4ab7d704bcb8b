"""A random walk over a tape, beside a drive that is known to be right.

The walk mixes all operations in an order that nobody would think of and
compares what each returns or raises, and where the head is afterwards, with
a :class:`MemoryTapeDrive`. The one rule: a walk is told by its number and
is the same for ever.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, TypeAlias

from tapekit.hookspecs.tape_driver import TapeError
from tapekit.testing.expecting import expect_equal
from tapekit.testing.memory_tape import MemoryTape, MemoryTapeDrive, bytes_of
from tapekit.testing.tape_script import expect_position, record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit.hookspecs.tape_driver import TapeDrive

__all__ = ["walk"]

_STEPS: Final = 150

_SIZES: Final = (100, 512, 1000)
"""Sizes of records in bytes; few, so that runs of equal ones meet others."""

_CHANCES: Final[Mapping[str, int]] = {
    "write_records": 30,
    "write_filemarks": 12,
    "read_record": 15,
    "read_records": 15,
    "space_records": 18,
    "space_filemarks": 14,
    "rewind": 4,
}
"""How often each operation comes, out of their sum."""

_Operation: TypeAlias = "Callable[[TapeDrive], object]"


def walk(drive: TapeDrive, number: int) -> None:
    """Take walk ``number`` on an empty tape.

    :raises AssertionError: the drive went another way than the one in
        memory; names the steps that led there.
    """
    oracle = MemoryTapeDrive(MemoryTape())
    choices = random.Random(number)  # noqa: S311 - a script, not a secret
    story: list[str] = []
    for step in range(_STEPS):
        name, operation = _choose(choices, step)
        story.append(name)
        what = f"walk {number}, step {step}, after {', '.join(story[-6:])}"
        expect_equal(_outcome(drive, operation), _outcome(oracle, operation), what)
        file, before = oracle.status().position
        assert file is not None
        assert before is not None
        expect_position(drive, file, before, what)


def _choose(choices: random.Random, step: int) -> tuple[str, _Operation]:
    """The next operation, with the words that tell it."""
    (kind,) = choices.choices(tuple(_CHANCES), tuple(_CHANCES.values()))
    size = choices.choice(_SIZES)
    count = choices.randint(-4, 4)
    if kind == "write_records":
        data = b"".join(record(1000 * step + n, size) for n in range(abs(count) + 1))
        name = f"write_records({abs(count) + 1} of {size})"
        return name, lambda drive: drive.write_records([memoryview(data)], size)
    if kind == "write_filemarks":
        return f"write_filemarks({abs(count)})", lambda drive: drive.write_filemarks(abs(count))
    if kind == "read_record":
        return f"read_record({size})", lambda drive: drive.read_record(size)
    if kind == "read_records":
        return f"read_records({size})", lambda drive: _read_one(drive, size)
    if kind == "space_records":
        return f"space_records({count})", lambda drive: drive.space_records(count)
    if kind == "space_filemarks":
        return f"space_filemarks({count})", lambda drive: drive.space_filemarks(count)
    return "rewind()", lambda drive: drive.rewind()


def _read_one(drive: TapeDrive, size: int) -> bytes:
    """One record by read_records; a limit of one byte gives no more."""
    return bytes_of(drive.read_records(memoryview(bytearray(size)), 1, size).pieces)


def _outcome(drive: TapeDrive, operation: _Operation) -> object:
    """What the operation returned, or the condition that it raised."""
    try:
        return operation(drive)
    except TapeError as error:
        return error.condition

"""NDMJOB's commands to a robot, and what it prints of a library."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from running_stack import Stack


@dataclass(frozen=True)
class Place:
    """An element of the library as NDMJOB prints it."""

    address: int
    kind: str
    cartridge: str | None
    source: int | None


@dataclass(frozen=True)
class Robot:
    """NDMJOB's commands to the changer of a stack."""

    stack: Stack

    @property
    def options(self) -> tuple[str, ...]:
        """What leads NDMJOB to the changer."""
        return ("-R", self.stack.agent(), "-r", "mc0")

    def does(self, *task: str) -> str:
        """A command that must succeed; NDMJOB's exit status does not tell."""
        done = self.stack.ndmjob("-v", *task, *self.options)
        assert 'SESS "Operation complete"' in done.stdout, done.stdout + done.stderr
        return done.stdout

    def cannot(self, *task: str) -> None:
        """A command that must fail."""
        done = self.stack.ndmjob("-v", *task, *self.options, check=False)
        assert "Operation complete but had problems." in done.stdout, done.stdout

    def places(self) -> dict[int, Place]:
        """The library's elements by their addresses."""
        return elements(self.does("-q"))

    def drive(self) -> Place:
        """The first drive."""
        return next(each for each in self.places().values() if each.kind == "TAPE")

    def slot_of(self, cartridge: str) -> int:
        """The slot with a cartridge."""
        return next(
            each.address
            for each in self.places().values()
            if each.kind == "SLOT" and each.cartridge == cartridge
        )


def elements(told: str) -> dict[int, Place]:
    """The elements that NDMJOB printed."""
    found = re.finditer(
        r'^QR "\s+\d+\s+@(\d+)\s+(ARM|SLOT|IEE|TAPE)\s+(?:Full\s+PVolTag\((\w+),|Empty)'
        r'(?:[^\n]*\nQR "\s+SValid\(src=(\d+))?',
        told,
        re.MULTILINE,
    )
    places = [
        Place(int(each[1]), each[2], each[3], int(each[4]) if each[4] else None) for each in found
    ]
    return {place.address: place for place in places}

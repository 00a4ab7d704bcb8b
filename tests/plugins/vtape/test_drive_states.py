"""Any sequence of operations agrees with a drive that keeps its tape in a list."""

from __future__ import annotations

import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing import bytes_of
from tapekit_vtape.cartridge import FILEMARK_COST_BYTES
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

SIZES = st.sampled_from([1, 7, 100, 100, 100, 1000])


class Model:
    """The tape as a list; a filemark is ``None``. Every rule in the plainest words."""

    def __init__(self, capacity: int, early_warning: int) -> None:
        self.capacity = capacity
        self.early_warning = early_warning
        self.items: list[bytes | None] = []
        self.at = 0
        self.warned = False

    def used(self) -> int:
        return sum(
            FILEMARK_COST_BYTES if item is None else len(item) for item in self.items[: self.at]
        )

    def write(self, records: list[bytes]) -> int | Condition:
        size = len(records[0])
        taken = 0
        limit = self.capacity - self.early_warning
        if self.used() + size > limit:
            if not self.warned:
                self.warned = True
                return Condition.EARLY_WARNING
            limit = self.capacity
        for record in records:
            if self.used() + size > limit:
                break
            del self.items[self.at :]
            self.items.append(record)
            self.at += 1
            taken += 1
        return taken or Condition.END_OF_MEDIUM

    def mark(self, number: int) -> Condition | None:
        if self.used() + number * FILEMARK_COST_BYTES > self.capacity:
            return Condition.END_OF_MEDIUM
        del self.items[self.at :]
        self.items += [None] * number
        self.at += number
        return None

    def peek(self) -> bytes | Condition:
        if self.at == len(self.items):
            return Condition.END_OF_DATA
        item = self.items[self.at]
        return Condition.FILEMARK if item is None else item

    def space(self, number: int, *, marks: bool) -> int:
        passed = 0
        before = self.at
        while passed < abs(number):
            index = self.at if number > 0 else self.at - 1
            if not 0 <= index < len(self.items):
                break
            is_mark = self.items[index] is None
            if is_mark and not marks:
                break
            self.at += 1 if number > 0 else -1
            passed += is_mark == marks
        if self.at < before:
            self.warned = False
        return passed

    def rewind(self) -> None:
        if self.at:
            self.warned = False
        self.at = 0


class DriveMachine(RuleBasedStateMachine):
    """Does the same to a virtual drive and to the model."""

    @initialize(
        capacity=st.sampled_from([4_000, 20_000, 1 << 20]), early_warning=st.integers(0, 3_000)
    )
    def insert(self, capacity: int, early_warning: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        driver = VtapeDriver(VtapeSettings(durability="none"))
        driver.settle(self.folder)
        driver.library.create("1", [])
        driver.library.create_cartridge("T1", capacity=capacity, early_warning=early_warning)
        driver.library.load(0, "T1")
        self.driver = driver
        self.drive = driver.open_drive("0")
        self.model = Model(capacity, early_warning)
        self.numbers = count()

    def teardown(self) -> None:
        if hasattr(self, "drive"):
            self.drive.close()
            shutil.rmtree(self.folder)

    def outcome(self, call: Any) -> Any:
        try:
            return call()
        except TapeError as error:
            return error.condition

    @rule(size=SIZES, number=st.integers(1, 6))
    def write(self, size: int, number: int) -> None:
        records = [(b"%08d" % next(self.numbers) * 125)[:size] for _ in range(number)]
        view = memoryview(b"".join(records))
        found = self.outcome(lambda: self.drive.write_records([view], size))
        assert found == self.model.write(records)

    @rule(number=st.integers(1, 3))
    def mark(self, number: int) -> None:
        assert self.outcome(lambda: self.drive.write_filemarks(number)) == self.model.mark(number)

    @rule(size=st.integers(1, 1100))
    def read_one(self, size: int) -> None:
        expected = self.model.peek()
        found = self.outcome(lambda: self.drive.read_record(size))
        if isinstance(expected, bytes):
            self.model.at += 1
            expected = expected[:size]
        assert found == expected

    @rule(record_size=SIZES, limit=st.integers(1, 3000))
    def read_run(self, record_size: int, limit: int) -> None:
        found = self.outcome(
            lambda: self.drive.read_records(memoryview(bytearray(record_size)), limit, record_size)
        )
        first = self.model.peek()
        if isinstance(first, Condition):
            assert found == first
            return
        if len(first) > record_size:
            assert found is Condition.RECORD_TOO_LONG
            return
        run = [first]
        self.model.at += 1
        while len(run[-1]) == record_size:
            following = self.model.peek()
            if isinstance(following, Condition) or len(following) > record_size:
                break
            if sum(map(len, run)) + len(following) > limit:
                break
            run.append(following)
            self.model.at += 1
        assert (found.records, found.length) == (len(run), sum(map(len, run)))
        assert bytes_of(found.pieces) == b"".join(run)

    @rule(number=st.integers(-8, 8))
    def space_records(self, number: int) -> None:
        assert self.drive.space_records(number) == self.model.space(number, marks=False)

    @rule(number=st.integers(-4, 4))
    def space_filemarks(self, number: int) -> None:
        assert self.drive.space_filemarks(number) == self.model.space(number, marks=True)

    @rule()
    def rewind(self) -> None:
        self.drive.rewind()
        self.model.rewind()

    @rule()
    def close_and_open(self) -> None:
        self.drive.close()
        self.drive = self.driver.open_drive("0")
        self.model.warned = False

    @rule()
    def eject_and_load(self) -> None:
        self.drive.unload()
        self.drive.load()
        self.model.at = 0
        self.model.warned = False

    @rule(rubbish=st.binary(min_size=1, max_size=100))
    def crash_in_the_middle_of_a_write(self, rubbish: bytes) -> None:
        self.drive.close()
        folder = self.driver.library.folder("T1")
        for name in ("payload", "index"):
            with (folder / name).open("ab") as file:
                file.write(rubbish)
        self.drive = self.driver.open_drive("0")
        self.model.warned = False

    @invariant()
    def the_position_is_true(self) -> None:
        if not hasattr(self, "drive"):
            return
        before = self.model.items[: self.model.at]
        marks = [index for index, item in enumerate(before) if item is None]
        status = self.drive.status()
        assert status.position == (
            len(marks),
            len(before) - (marks[-1] + 1 if marks else 0),
        )
        assert status.remaining_bytes == self.model.capacity - self.model.used()


TestDriveMachine = DriveMachine.TestCase
TestDriveMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

"""A target in memory: logical units behind logins, which can fail on cue."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import pytest

from tapekit.scsi.door import CdbReply, Status
from tapekit.scsi.sense import Sense, encode_sense
from tapekit_scsi_iscsi.library import LibraryFailure
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.media_changer import MediaChanger
    from tapekit.hookspecs.tape_driver import TapeDrive
    from tapekit_scsi_iscsi.library import Login

NO_UNIT = encode_sense(Sense(5, 0x25, 0))


@final
class MemoryTarget:
    """What answers logins; what is behind a unit is opened anew for each."""

    def __init__(self) -> None:
        self.units: dict[int, Callable[[], TapeDrive | MediaChanger]] = {}
        self.logins: list[Login] = []
        self.connections: list[MemoryConnection] = []
        self.refusal: str | None = None

    def connect(self, login: Login) -> MemoryConnection:
        self.logins.append(login)
        if self.refusal is not None:
            raise LibraryFailure(self.refusal)
        self.connections.append(MemoryConnection(self))
        return self.connections[-1]


@final
class MemoryConnection:
    """One login to a target in memory."""

    def __init__(self, target: MemoryTarget) -> None:
        self._target = target
        self._open: dict[int, TapeDrive | MediaChanger] = {}
        self.failure: LibraryFailure | None = None
        self.served = 0
        self.timeouts: list[int] = []
        self.has_logged_out = self.is_destroyed = False

    def execute(
        self, lun: int, cdb: bytes, data_out: bytes, data_in: int, timeout_s: int
    ) -> CdbReply:
        self.timeouts.append(timeout_s)
        self._fail()
        if cdb[0] == 0xA0:
            rows = b"".join(one.to_bytes(2, "big") + bytes(6) for one in self._target.units)
            return CdbReply(Status.GOOD, (len(rows).to_bytes(4, "big") + bytes(4) + rows)[:data_in])
        if lun not in self._target.units:
            return CdbReply(Status.CHECK_CONDITION, sense=NO_UNIT)
        if lun not in self._open:
            self._open[lun] = self._target.units[lun]()
        door = self._open[lun].door
        assert door is not None
        return door.execute(cdb, data_out=data_out, data_in=data_in, timeout_s=1)

    def reset(self, lun: int, timeout_s: int) -> None:
        assert timeout_s
        self._fail()
        door = self._open[lun].door
        assert door is not None
        door.reset()

    def serve(self) -> None:
        self.served += 1
        self._fail()

    def log_out(self, timeout_s: int) -> None:
        assert timeout_s
        self.has_logged_out = True
        self._fail()

    def destroy(self) -> None:
        self.is_destroyed = True
        for one in self._open.values():
            one.close()
        self._open.clear()

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def target(tmp_path: Path) -> MemoryTarget:
    """A changer as unit 0, a drive with a tape as unit 1, an empty one as 300."""
    driver = VtapeDriver(VtapeSettings(directory=str(tmp_path / "tapes"), slots=4))
    driver.library.create("S1", ["T00001"])

    made = MemoryTarget()
    made.units = {
        0: driver.changer,
        1: lambda: driver.open_drive("0"),
        0x4000 | 300: lambda: driver.open_drive("1"),
    }
    return made

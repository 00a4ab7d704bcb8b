"""Jobs over two paths, one of which fails on the way: their client notices nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import pytest

from session_stack import clock, new_site, serving
from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitSite, Manifest, NoSettings
from tapekit.hookspecs.tape_driver import Condition, DriveDescription, TapeError
from tapekit.kernel import Available, assemble, installed
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.testing.errors import CATALOGUE
from tapekit_ndmp_v4.client import BackupPlan, RecoverPlan, TapeAt, back_up, recover
from tapekit_ndmp_v4.messages import Name
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.plugin import VtapePlugin
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from session_stack import ServedStack
    from tapekit.scsi.door import CdbReply, ScsiAddress

READ: Final = 0x08
WRITE: Final = 0x0A
VOLUME: Final = "/vs1/vol1"


@final
class Cable:
    """A driver of one drive at the end of a cable, and its door."""

    def __init__(self, scheme: str, door: Any) -> None:
        self.scheme = scheme
        self.left: dict[int, int] = {}
        """After so many more commands with an operation code it is cut, before
        the answer of the last one comes."""
        self.is_cut = False
        self._door = door

    def discover(self) -> Sequence[DriveDescription]:
        return [
            DriveDescription(
                address="0",
                physical_path=f"{self.scheme}.1",
                vendor="ACME",
                product="TAPE",
                revision="1",
                serial="DRIVE0",
                formats=dict.fromkeys("lmha", "ACME"),
            )
        ]

    def open_drive(self, address: str) -> CdbDrive:
        return self.drive_behind(self.open_door(address), address)

    def open_door(self, _address: str) -> Cable:
        self._check()
        return self

    def drive_behind(self, door: Any, _address: str) -> CdbDrive:
        return CdbDrive(door, f"{self.scheme}.1", door.close)

    def changer_behind(self, door: Any, address: str) -> Any:
        raise NotImplementedError(door, address)

    @property
    def address(self) -> ScsiAddress:
        return self._door.address  # type: ignore[no-any-return] # what vtape has

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        self._check()
        reply: CdbReply = self._door.execute(cdb, data_out=data_out, data_in=data_in)
        if cdb[0] in self.left:
            self.left[cdb[0]] -= 1
            self.is_cut = not self.left[cdb[0]]
        self._check()
        return reply

    def reset(self) -> None:
        self._door.reset()

    def close(self) -> None:
        """Nothing to give back."""

    def _check(self) -> None:
        if self.is_cut:
            raise CATALOGUE.raised_as(TapeError, "no-tape", condition=Condition.HARDWARE_ERROR)


def plugin_of(*cables: Cable) -> Available:
    class CablesPlugin:
        manifest: ClassVar = Manifest(name="cables", summary="A drive on several cables")

        def __init__(self, settings: NoSettings) -> None:
            self.settings = settings

        @hookimpl
        def tapekit_register_tape_drivers(self) -> tuple[Cable, ...]:
            return cables

    return Available("cables", "tests", "tests", lambda: CablesPlugin)


@asynccontextmanager
async def over_two_paths(tmp_path: Path) -> AsyncIterator[tuple[ServedStack, list[Cable]]]:
    """A stack whose first drive, with an empty tape, is reached over two paths."""
    VtapePlugin.init_part(InitSite(tmp_path / "far", "127.0.0.1", 1))
    drive = VtapeDriver(VtapeSettings(directory=str(tmp_path / "far" / "vtape"))).open_drive("0")
    cables = [Cable(scheme, drive.door) for scheme in ("0b", "0d")]
    site = tmp_path / "site"
    kernel = new_site(site)
    more = 'plugins = [\n    "cables",\n    "multipath",\n    "reservations",\n'
    table = '\n[reservations]\nmethod = "off"\n'
    text = kernel.stack_file.read_text().replace("plugins = [\n", more) + table
    kernel.stack_file.write_text(text)
    available = [*installed(), plugin_of(*cables)]
    async with serving(site, assemble(kernel.stack_file, available, clock=clock)) as stack:
        yield stack, cables
    drive.close()


@pytest.mark.requirement("R038")
async def test_a_backup_and_a_restore_go_on_over_the_other_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with over_two_paths(tmp_path) as (stack, (first, second)):
        stack.volume.joinpath("large").write_bytes(bytes(range(256)) * 20_000)
        first.left = {WRITE: 40}
        plan = BackupPlan(
            tape=TapeAt("nrst0a"), environment=(("FILESYSTEM", VOLUME),), record_size=10240
        )
        async with stack.client() as client:
            backup = await back_up(client, plan)
        assert (first.is_cut, second.is_cut) == (True, False)
        assert "0b.1 is reached over 0d.1 now" in caplog.text
        first.is_cut, second.left = False, {READ: 40}
        async with stack.client() as client:
            name = Name(original_path="", destination_path=f"{VOLUME}/back")
            restore = RecoverPlan(
                parts=backup.parts,
                environment=backup.environment,
                names=(name,),
                record_size=plan.record_size,
            )
            await recover(client, restore)
        assert (first.is_cut, second.is_cut) == (False, True)
        assert "READ(6) goes on where it stood" in caplog.text
        (back,) = [path for path in (stack.volume / "back").rglob("large") if path.is_file()]
        assert back.read_bytes() == (stack.volume / "large").read_bytes()

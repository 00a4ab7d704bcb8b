"""What goes wrong around the data management application: cartridges that
are missing, protected or exchanged, runs that are broken off, clocks, old
copies of catalogues, and servers of other kinds. All of it in one process.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pty
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec
import pytest
import trio
from test_secure_sessions import served as secure
from test_smtape import restrict, take, with_target

from session_stack import new_site, serving
from tapekit.errors import TapekitError
from tapekit.kernel import assemble, installed
from tapekit_dma.backup_run import BackupOrder, run_backup
from tapekit_dma.catalogue import Catalogue, open_catalogue
from tapekit_dma.drive import Drive
from tapekit_dma.rebuild_run import Rebuilding, run_rebuild
from tapekit_dma.records import Backup, State
from tapekit_dma.restore_plan import RestoreOrder, plan_restore
from tapekit_dma.restore_run import run_restore
from tapekit_dma.robot import Robot
from tapekit_dma.sessions import Room
from tapekit_dma.settings import DmaSettings
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.client import tape
from tapekit_ndmp_v4.numbers import MtioOp, TapeOpenMode
from tapekit_vtape.library import Library
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path


VOLUME: Final = "/vs1/vol1"
DAY_S: Final = 86400
SMALL: Final = VtapeSettings(capacity_bytes=4_000_000, early_warning_bytes=300_000)


class Application:
    """The application's runs, with a clock that a test can set."""

    def __init__(self, stack: Any, directory: Path, server: Mapping[str, object]) -> None:
        directory.mkdir()
        password = directory / "password"
        password.touch(mode=0o600)
        password.write_bytes((stack.directory / "ndmp-password").read_bytes())
        self.stack = stack
        self.directory = directory
        self.later_s = 0.0
        self.told: list[str] = []
        self.asked: list[str] = []
        self.on_ask: Callable[[str], bool] | None = None
        self.on_tell: Callable[[str], object] = self.told.append
        self.sets: dict[str, dict[str, object]] = {"weekly": {}}
        self.server = {"host": "127.0.0.1", "user": "ndmp", **server}
        self._labels = itertools.count(1)

    @property
    def room(self) -> Room:
        table = {
            "servers": {"filer": {"password_file": "password", **self.server}},
            "media_sets": {
                name: {"server": "filer", "barcodes": ["VT*"], **more}
                for name, more in self.sets.items()
            },
        }
        return Room(
            settings=msgspec.convert(table, DmaSettings),
            base=self.directory,
            clock=lambda: time.time() + self.later_s,
            tell=self._tell,
            ask=None if self.on_ask is None else self._ask,
        )

    def _tell(self, line: str) -> None:
        self.told.append(line)
        self.on_tell(line)

    async def _ask(self, text: str) -> bool:
        self.asked.append(text)
        assert self.on_ask is not None
        return self.on_ask(text)

    @contextlib.contextmanager
    def catalogue(self, name: str = "catalogue") -> Iterator[Catalogue]:
        with open_catalogue(self.directory / name) as catalogue:
            yield catalogue

    def write_stack_file(self) -> Path:
        """For commands."""
        barcodes = self.sets["weekly"]["barcodes"]
        file = self.directory / "tapekit.toml"
        file.write_text(
            'plugins = ["ndmp_v4", "dma"]\n[dma.servers.filer]\nhost = "127.0.0.1"\n'
            f'port = {self.stack.port}\nuser = "ndmp"\npassword_file = "password"\n'
            f'[dma.media_sets.weekly]\nserver = "filer"\nbarcodes = {json.dumps(barcodes)}\n'
        )
        return file

    def label(self) -> str:
        return f"label{next(self._labels)}"

    async def back_up(self, catalogue: str = "catalogue", **more: Any) -> Backup:
        order = BackupOrder(**{"server": "filer", "path": VOLUME, "media_set": "weekly", **more})
        with trio.fail_after(60), self.catalogue(catalogue) as opened:
            return await run_backup(order, self.room, opened, self.label)

    async def restore(self, to: str = f"{VOLUME}/back", **more: Any) -> Path:
        order = RestoreOrder(paths=(VOLUME,), to=to, **more)
        with trio.fail_after(60), self.catalogue() as opened:
            await run_restore(order, plan_restore(order, opened), self.room, opened)
        return self.volume / "back"

    async def rebuild(self, *, with_forgotten: bool = False) -> Rebuilding:
        """What media scan --rebuild does, of all cartridges that are there."""
        async with self.stack.client() as client, self.stack.client() as mover:
            drive = Drive(client, "nrst0a", Robot(mover, "mc0", 0))
            barcodes = sorted(await drive.barcodes())
            with self.catalogue() as opened, opened.exclusively("weekly"):
                return await run_rebuild(
                    "weekly", barcodes, drive, opened, str, with_forgotten=with_forgotten
                )

    def places(self, number: int) -> list[str]:
        with self.catalogue() as opened:
            return [part.barcode for part in opened.parts(number)]

    def complaint(self, barcode: str) -> str:
        with self.catalogue() as opened:
            return opened.cartridges()[barcode].complaint

    @property
    def volume(self) -> Path:
        return self.stack.directory / "volumes" / "vs1" / "vol1"

    @property
    def library(self) -> Library:
        return Library(self.stack.directory / "vtape", SMALL)

    async def drive(self, barcode: str, work: Callable[[Any, Drive], Any]) -> Any:
        """Do something with a cartridge behind the application's back."""
        async with self.stack.client() as client, self.stack.client() as mover:
            drive = Drive(client, "nrst0a", Robot(mover, "mc0", 0))
            await drive.load(barcode)
            return await work(client, drive)


@pytest.fixture
async def application(tmp_path: Path) -> AsyncIterator[Application]:
    async with served(tmp_path) as stack:
        yield Application(stack, tmp_path / "application", {"port": stack.port})


def served(tmp_path: Path, edit: Callable[[str], str] = str, library: VtapeSettings = SMALL) -> Any:
    directory = tmp_path / "site"
    new_site(directory, edit)
    kernel = assemble(directory / "tapekit.toml", installed(), clock=time.time)
    shutil.rmtree(directory / "vtape")
    created = Library(directory / "vtape", library)
    created.create("S1", [f"VT000{n}" for n in range(1, 6)])
    # What is in the other drive is not the application's.
    created.unload(1)
    return serving(directory, kernel)


def fill(volume: Path, size: int = 1000) -> None:
    (volume / "small").write_text("small")
    (volume / "large").write_bytes(bytes(range(250)) * (size // 250))


async def write(client: Any, *records: bytes) -> None:
    """Records from the beginning of the tape; an empty one is a filemark."""
    await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
    await tape.rewind(client)
    for record in records:
        if record:
            await client.call(m.TapeWriteRequest(data_out=record))
        else:
            await tape.move(client, MtioOp.EOF, 1)
    await tape.close(client)


async def test_a_tape_that_begins_with_a_filemark_is_not_blank(application: Application) -> None:
    fill(application.volume)
    await application.drive("VT0001", lambda client, _: write(client, b"", b"of others", b""))
    done = await application.back_up()
    assert application.places(done.number) == ["VT0002"]
    assert "VT0001 has data without a label" in application.complaint("VT0001")


async def test_what_others_appended_behind_a_filemark_is_not_written_over(
    application: Application,
) -> None:
    fill(application.volume)
    await application.back_up()

    async def append(client: Any, _: Drive) -> None:
        await tape.open_device(client, "nrst0a", TapeOpenMode.RDWR)
        await tape.go_to(client, 3)
        await tape.move(client, MtioOp.EOF, 1)
        await client.call(m.TapeWriteRequest(data_out=b"of others"))
        await tape.close(client)

    await application.drive("VT0001", append)
    done = await application.back_up()
    assert application.places(done.number) == ["VT0002"]
    assert "goes on in tape file 3" in application.complaint("VT0001")


async def test_a_protected_cartridge_is_passed_over_and_not_forgotten(
    application: Application,
) -> None:
    fill(application.volume)
    application.sets["weekly"] = {"retention_days": 1, "retention_copies": 0}
    await application.back_up()
    # In its slot, so that nobody has it open.
    await application.drive("VT0003", lambda _, drive: drive.read_start())
    with contextlib.closing(application.library.open_cartridge("VT0001", shared=False)) as one:
        one.set_protected(is_protected=True)
    application.later_s = 2 * DAY_S
    done = await application.back_up()
    assert application.places(done.number) == ["VT0002"]
    assert "WRITE_PROTECT" in application.complaint("VT0001")
    assert application.places(1) == ["VT0001"]


async def test_the_exchange_of_a_cartridge_before_the_drive_is_opened_is_seen(
    application: Application,
) -> None:
    """A drive is nobody's between the look at a label and the backup."""
    fill(application.volume)
    await application.back_up(media_set="weekly")
    application.on_tell = lambda line: exchange(application, line)
    with pytest.raises(TapekitError, match="not VT0001 any more"):
        await application.back_up()
    application.on_tell = str
    assert await application.drive("VT0005", lambda _, drive: drive.read_start()) is None
    await application.back_up()


def exchange(application: Application, line: str) -> None:
    if line.startswith("writing"):
        application.library.unload(0)
        application.library.load(0, "VT0005")


async def test_what_an_increment_elsewhere_builds_on_is_kept(application: Application) -> None:
    fill(application.volume)
    application.sets = {
        "weekly": {"retention_days": 1, "retention_copies": 0, "barcodes": ["VT0001"]},
        "daily": {"retention_days": 9, "retention_copies": 0, "barcodes": ["VT0002"]},
    }
    await application.back_up()
    application.later_s = 2 * DAY_S
    await application.back_up(media_set="daily", level="incremental")
    await application.back_up(path=f"{VOLUME}/small")
    with application.catalogue() as opened:
        assert [each.number for each in opened.backups() if each.state is State.GOOD] == [1, 2, 3]
    application.later_s = 20 * DAY_S
    # Nothing is kept; its base runs out while it looks for a cartridge.
    done = await application.back_up(level="incremental")
    assert done.base == 2
    assert {1, 2} <= {each.number for each in goods(application)}


def goods(application: Application) -> list[Backup]:
    with application.catalogue() as opened:
        return [each for each in opened.backups() if each.state is State.GOOD]


async def test_an_old_copy_of_the_catalogue_ends_nothing_that_it_does_not_know(
    application: Application,
) -> None:
    fill(application.volume)
    application.sets["weekly"] = {"retention_days": 1, "retention_copies": 0}
    await application.back_up()
    shutil.copytree(application.directory / "catalogue", application.directory / "old")
    await application.back_up()
    application.later_s = 1.5 * DAY_S
    shutil.rmtree(application.directory / "catalogue")
    (application.directory / "old").rename(application.directory / "catalogue")
    with pytest.raises(TapekitError, match=r"backup 2 .* knows nothing; nothing was written"):
        await application.back_up()
    await application.rebuild()
    # It has another number now, since the run that was refused has its own.
    assert [each.number for each in goods(application)] == [1, 3]
    done = await application.back_up(level="incremental")
    assert done.base == 3


async def test_what_a_forgotten_failure_left_is_written_over(application: Application) -> None:
    application.sets["weekly"] = {"barcodes": ["VT0001"]}
    fill(application.volume)
    await application.back_up()
    fill(application.volume, 6_000_000)
    with pytest.raises(TapekitError, match="no cartridge of weekly"):
        await application.back_up()
    with application.catalogue() as opened:
        opened.forget([2])
    fill(application.volume)
    await application.back_up()
    assert [each.number for each in goods(application)] == [1, 3]


async def broken_off(application: Application) -> None:
    """A backup that is cancelled while it writes."""
    with trio.CancelScope() as scope:
        application.on_tell = lambda line: scope.cancel() if "writing" in line else None
        await application.back_up()
    assert scope.cancelled_caught
    application.on_tell = str


async def test_a_run_that_is_broken_off_leaves_everything_to_the_next(
    application: Application,
) -> None:
    fill(application.volume, 2_000_000)
    await broken_off(application)
    for moment in range(4):
        with trio.move_on_after(0.02 * moment):
            await application.back_up()
    done = await application.back_up()
    assert done.state is State.GOOD
    assert ((await application.restore()) / "small").read_text() == "small"


async def test_a_cartridge_that_is_missing_is_asked_for(application: Application) -> None:
    fill(application.volume, 6_000_000)
    done = await application.back_up()
    assert application.places(done.number) == ["VT0001", "VT0002"]
    application.library.move("VT0001", None)
    with pytest.raises(TapekitError, match="not in the library: VT0001; nothing"):
        await application.restore()
    assert not (application.volume / "back").exists()

    def put(text: str) -> bool:
        application.library.move("VT0001", 6)
        return True

    application.on_ask = put
    back = await application.restore()
    assert (back / "large").stat().st_size == 6_000_000
    assert len(application.asked) == 1


async def test_images_of_a_volume_come_back(tmp_path: Path) -> None:
    (tmp_path / "site" / "volumes" / "vs1" / "back").mkdir(parents=True)
    async with served(tmp_path, with_target) as stack:
        application = Application(stack, tmp_path / "application", {"port": stack.port})
        fill(stack.volume)
        await image(application, "first", "full")
        (stack.volume / "new").write_text("new")
        done = await image(application, "second", "incremental")
        assert done.base == 1
        # The server wants it said of each image that the volume may be replaced.
        for number in ("1", "2"):
            await trio.to_thread.run_sync(restrict, stack)
            await application.restore(source=number, only=True, to="/vs1/back")
        back = stack.directory / "volumes" / "vs1" / "back"
        assert (back / "new").read_text() == "new"
        assert (back / "small").read_text() == "small"


async def image(application: Application, snapshot: str, level: str) -> Backup:
    await trio.to_thread.run_sync(take, application.stack, snapshot)
    variables = {"SMTAPE_SNAPSHOT_NAME": snapshot}
    return await application.back_up(butype="smtape", level=level, variables=variables)


async def test_libraries_may_have_thousands_of_slots(tmp_path: Path) -> None:
    large = VtapeSettings(slots=4000, capacity_bytes=4_000_000, early_warning_bytes=300_000)
    directory = tmp_path / "site"

    def edit(text: str) -> str:
        return text.replace("slots = 8\n", "slots = 4000\n")

    async with served(tmp_path, edit, large) as stack:
        library = Library(directory / "vtape", large)
        library.move("VT0005", 3999)
        application = Application(stack, tmp_path / "application", {"port": stack.port})
        application.sets["weekly"] = {"barcodes": ["VT0005"]}
        fill(stack.volume)
        done = await application.back_up()
        assert application.places(done.number) == ["VT0005"]


@pytest.mark.parametrize(("method", "auth"), [("plaintext", "text"), ("challenge", "md5")])
async def test_servers_may_take_one_kind_of_login(tmp_path: Path, method: str, auth: str) -> None:
    def edit(text: str) -> str:
        assert "[auth]\n" in text
        return text.replace("[auth]\n", f'[auth]\nmethods = ["{method}"]\n')

    async with served(tmp_path, edit) as stack:
        application = Application(
            stack, tmp_path / "application", {"port": stack.port, "auth": auth}
        )
        fill(stack.volume)
        assert (await application.back_up()).state is State.GOOD
        application.server["auth"] = "md5" if auth == "text" else "text"
        with pytest.raises(TapekitError, match=r"filer at 127\.0\.0\.1.* refuses ndmp"):
            await application.back_up()


@pytest.mark.parametrize("trust", ["fingerprint", "file"])
async def test_control_connections_may_be_secure(tmp_path: Path, trust: str) -> None:
    async with secure(tmp_path / "site") as stack:
        certificate = stack.certificate
        tls = stack.fingerprint if trust == "fingerprint" else str(certificate)
        server = {"host": "localhost", "port": stack.secure, "tls": tls}
        application = Application(stack, tmp_path / "application", server)
        fill(application.volume)
        assert (await application.back_up()).state is State.GOOD
        assert ((await application.restore()) / "small").read_text() == "small"
        application.server["tls"] = "0" * 64
        with pytest.raises(TapekitError, match="certificate"):
            await application.back_up()


async def test_a_prompt_can_be_answered_and_interrupted(application: Application) -> None:
    fill(application.volume)
    application.sets["weekly"] = {"barcodes": ["VT0001"]}
    await application.back_up()
    await application.drive("VT0002", lambda _, drive: drive.read_start())
    application.library.move("VT0001", None)
    for typed, error in ((b"\x03", "interrupted"), (b"\x04", "cartridge-missing")):
        status, said = await at_terminal(application, typed)
        assert status == 1
        assert f"(tapekit explain dma.{error})" in said
    status, said = await at_terminal(application, b"\n", lambda: in_slot(application))
    assert status == 0, said
    assert "reading VT0001" in said


def in_slot(application: Application) -> None:
    application.library.move("VT0001", 6)


async def at_terminal(
    application: Application, typed: bytes, before: Callable[[], object] = lambda: None
) -> tuple[int, str]:
    """Restore at a terminal, and type something once it asks."""
    file = application.write_stack_file()
    words = ("restore", VOLUME, "--to", f"{VOLUME}/back", "--stack", str(file))
    ours, theirs = pty.openpty()
    process = await trio.lowlevel.open_process(
        ("setsid", "--ctty", "--wait", sys.executable, "-m", "tapekit", *words),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    async with trio.lowlevel.FdStream(ours) as terminal:
        with trio.fail_after(60), contextlib.suppress(trio.BrokenResourceError):
            while more := await terminal.receive_some():
                said += more
                if said.count(b"is it there?") and typed:
                    before()
                    await terminal.send_all(typed)
                    typed = b""
        with trio.fail_after(60):
            status = await process.wait()
    return status, re.sub(r"\s+", " ", said.decode())

"""Devices are found on targets, and opened only if they are those that were found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.testing import bytes_of
from tapekit_scsi_iscsi.discovery import Offer
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.library import LibraryFailure
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings, Target

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.segments import Piece

NAME = "iqn.2026-11.net.example:tapes"


def driver_for(target: Any, *, looks: bool = True, **settings: Any) -> ScsiIscsiDriver:
    urls = (f"iscsi://10.0.0.7/{NAME}",)
    made = ScsiIscsiDriver(
        ScsiIscsiSettings(initiator="iqn.2026-11.x:me", targets=urls, **settings), target.connect
    )
    if looks:
        made.discover()
        made.discover_changers()
    return made


def test_devices_are_found_by_type(target: Any) -> None:
    driver = driver_for(target)
    drives = [(d.address, d.physical_path, d.serial) for d in driver.discover()]
    assert drives == [("S1D00@0.1", "i.0L1", "S1D00"), ("S1D01@0.16684", "i.0L300", "S1D01")]
    changers = [(c.address, c.physical_path, c.serial) for c in driver.discover_changers()]
    assert changers == [("S1L00@0.0", "i.0", "S1L00")]
    assert all(one.is_destroyed for one in target.connections)


def test_every_look_looks_anew(target: Any) -> None:
    driver = driver_for(target)
    del target.units[1]
    assert [d.address for d in driver.discover()] == ["S1D01@0.16684"]


def test_a_drive_is_opened_and_let_go(target: Any) -> None:
    drive = driver_for(target).open_drive("S1D00@0.1")
    pieces: list[Piece] = [memoryview(b"words" * 10)]
    assert drive.write_records(pieces, 10) == 5
    drive.rewind()
    into = memoryview(bytearray(100))
    assert bytes_of(drive.read_records(into, 100, 10).pieces) == b"words" * 10
    assert not target.connections[-1].is_destroyed
    drive.close()
    assert target.connections[-1].is_destroyed


def test_a_changer_is_opened_and_let_go(target: Any) -> None:
    changer = driver_for(target).open_changer("S1L00@0.0")
    assert [e.volume_tag for e in changer.elements() if e.is_full] == ["T00001"]
    assert changer.door is not None
    assert changer.door.address == (0, 0, 0)
    changer.close()
    assert target.connections[-1].is_destroyed


def test_an_address_that_nobody_has_found_is_refused(target: Any) -> None:
    with pytest.raises(TapeError, match=r"no iSCSI device with the address 7; found were: none"):
        driver_for(target, looks=False).open_drive("7")
    with pytest.raises(TapeError, match=r"found were: S1D00@0\.1, S1D01@0\.16684, S1L00@0\.0"):
        driver_for(target).open_changer("1.0")


def test_a_device_that_is_gone_is_not_opened(target: Any) -> None:
    driver = driver_for(target)
    del target.units[1]
    with pytest.raises(TapeError, match=r"i\.0L1 is gone.*S1D00") as caught:
        driver.open_drive("S1D00@0.1")
    assert caught.value.condition is Condition.NO_DEVICE
    assert target.connections[-1].is_destroyed


def test_another_device_in_its_place_is_not_opened(target: Any) -> None:
    driver = driver_for(target)
    target.units[1] = target.units[0x4000 | 300]
    with pytest.raises(TapeError, match="its serial number is S1D01, no longer S1D00") as caught:
        driver.open_drive("S1D00@0.1")
    assert caught.value.condition is Condition.NO_DEVICE
    assert target.connections[-1].is_destroyed


def test_a_target_that_refuses_fails_the_look(target: Any) -> None:
    target.refusal = "target not found"
    with pytest.raises(TapeError, match=f"target {NAME} at 10.0.0.7:3260: target not found"):
        driver_for(target)


def over_two_portals(target: Any, *silent: str) -> ScsiIscsiDriver:
    def connect(login: Any) -> Any:
        if login.target.portal in silent:
            raise LibraryFailure("no route to host")
        return target.connect(login)

    urls = tuple(f"iscsi://10.0.0.{host}/{NAME}" for host in (7, 8))
    return ScsiIscsiDriver(ScsiIscsiSettings(initiator="iqn.2026-11.x:me", targets=urls), connect)


@pytest.mark.requirement("R038")
def test_a_portal_that_is_silent_is_left_out_if_another_has_the_target(
    target: Any, caplog: pytest.LogCaptureFixture
) -> None:
    both = [one.physical_path for one in over_two_portals(target).discover()]
    assert both == ["i.0L1", "i.0L300", "i.1L1", "i.1L300"]
    one = over_two_portals(target, "10.0.0.7:3260")
    assert [found.physical_path for found in one.discover()] == both[2:]
    assert "a path is missing: Cannot log in" in caplog.text
    assert one.ports("S1D00@1.1") == ("iqn.2026-11.x:me,10.0.0.8:3260", NAME)
    with pytest.raises(TapeError, match="Cannot log in"):
        over_two_portals(target, "10.0.0.7:3260", "10.0.0.8:3260").discover()


def test_credentials_go_to_their_target(target: Any, tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(f'["{NAME}"]\nuser = "me"\npassword = "words"\n')
    file.chmod(0o600)
    driver = driver_for(target, looks=False, credentials="secrets.toml", login_timeout_s=7)
    driver.settle(tmp_path)
    driver.discover()
    login = target.logins[0]
    assert (login.target, login.timeout_s) == (Target("10.0.0.7:3260", NAME), 7)
    assert login.chap.password == "words"


# While the stack runs.


class Watched:
    """A driver whose rests end when the test says so."""

    def __init__(self, target: Any, silent: set[str], **settings: Any) -> None:
        def connect(login: Any) -> Any:
            if login.target.portal in silent:
                raise LibraryFailure("no route to host")
            return target.connect(login)

        urls = tuple(f"iscsi://10.0.0.{host}/{NAME}" for host in (7, 8))
        made = ScsiIscsiSettings(initiator="iqn.2026-11.x:me", targets=urls, **settings)
        self.driver = ScsiIscsiDriver(made, connect, self.rest)
        self.rests: list[float] = []
        self.changes: list[Any] = []
        """What happens during the following rests."""

    async def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.changes.pop(0)()

    async def change(self) -> int:
        """How many rests it took until there was something to look at."""
        before = len(self.rests)
        await self.driver.wait_for_change()
        return len(self.rests) - before

    def paths(self) -> list[str]:
        return [found.physical_path for found in self.driver.discover()]


def nothing() -> None:
    """Nothing happens."""


@pytest.mark.requirement("R042")
async def test_units_that_come_and_go_are_worth_a_look(target: Any) -> None:
    watched = Watched(target, set(), look_every_s=7)
    assert watched.paths() == ["i.0L1", "i.0L300", "i.1L1", "i.1L300"]
    assert await watched.change() == 0
    taken = target.units.pop(1)
    watched.paths()
    watched.driver.discover_changers()
    watched.changes = [nothing, nothing, lambda: target.units.update({2: taken})]
    assert await watched.change() == 3
    assert watched.rests == [7] * 3
    assert watched.paths() == ["i.0L2", "i.0L300", "i.1L2", "i.1L300"]
    watched.changes = [lambda: target.units.pop(2)]
    assert await watched.change() == 1
    assert watched.paths() == ["i.0L300", "i.1L300"]


@pytest.mark.requirement("R042")
async def test_a_drive_that_comes_while_changers_are_looked_for_is_not_missed(target: Any) -> None:
    watched = Watched(target, set())
    late = target.units.pop(1)
    watched.paths()
    target.units[1] = late
    watched.driver.discover_changers()
    watched.driver.discover_bridges()
    assert await watched.change() == 0
    watched.changes = [nothing]
    assert await watched.change() == 1
    assert watched.paths() == ["i.0L1", "i.0L300", "i.1L1", "i.1L300"]


@pytest.mark.requirement("R038")
@pytest.mark.requirement("R042")
async def test_portals_that_fall_silent_and_answer_again_are_worth_a_look(
    target: Any, caplog: pytest.LogCaptureFixture
) -> None:
    silent: set[str] = set()
    watched = Watched(target, silent)
    watched.paths()
    await watched.change()
    watched.changes = [lambda: silent.add("10.0.0.7:3260")]
    assert await watched.change() == 1
    for _ in range(2):
        assert watched.paths() == ["i.1L1", "i.1L300"]
    assert caplog.text.count("a path is missing") == 1
    watched.changes = [lambda: silent.add("10.0.0.8:3260")]
    assert await watched.change() == 1
    with pytest.raises(TapeError, match="Cannot log in"):
        watched.paths()
    watched.changes = [nothing, silent.clear]
    assert await watched.change() == 2
    assert watched.paths() == ["i.0L1", "i.0L300", "i.1L1", "i.1L300"]
    assert watched.rests == [60] * 4


async def test_credentials_that_become_unreadable_are_told_by_the_next_look(
    target: Any, tmp_path: Path
) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text("")
    file.chmod(0o600)
    watched = Watched(target, set(), credentials="secrets.toml")
    watched.driver.settle(tmp_path)
    watched.paths()
    await watched.change()
    watched.changes = [file.unlink]
    assert await watched.change() == 1
    with pytest.raises(TapekitError, match="Cannot read"):
        watched.paths()


async def test_targets_are_looked_at_once_if_so_set(target: Any, autojump_clock: Any) -> None:
    watched = Watched(target, set(), look_every_s=0)
    watched.paths()
    await watched.change()
    with trio.move_on_after(1e6) as waiting:
        await watched.change()
    assert waiting.cancelled_caught
    assert watched.rests == []


# Targets that portals offer.


class Offering(Watched):
    """A driver that is told of its targets by a portal."""

    def __init__(self, target: Any, silent: set[str]) -> None:
        super().__init__(target, silent)
        self.offers = [Offer(NAME, ("10.0.0.7:3260",))]

        def ask(login: Any) -> Any:
            assert login.target == ("10.0.0.7:3260", "")
            if login.target.portal in silent:
                raise LibraryFailure("no route to host")
            return self.offers

        made = ScsiIscsiSettings(initiator="iqn.2026-11.x:me", portals=("10.0.0.7",))
        self.driver = ScsiIscsiDriver(made, self.driver._connect, self.rest, ask)


@pytest.mark.requirement("R042")
async def test_a_target_that_a_portal_offers_later_is_worth_a_look(target: Any) -> None:
    watched = Offering(target, set())
    watched.offers = []
    assert watched.paths() == []
    await watched.change()
    watched.driver.discover_changers()
    watched.changes = [nothing, lambda: watched.offers.append(Offer(NAME, ()))]
    assert await watched.change() == 2
    assert watched.paths() == ["i.0L1", "i.0L300"]
    watched.driver.open_drive("S1D00@0.1").close()
    watched.changes = [watched.offers.clear]
    assert await watched.change() == 1
    assert watched.paths() == []


async def test_a_portal_that_falls_silent_with_its_targets_fails_the_look(target: Any) -> None:
    silent = {"10.0.0.7:3260"}
    watched = Offering(target, silent)
    with pytest.raises(TapeError, match=r"Cannot ask the iSCSI portal 10\.0\.0\.7:3260"):
        watched.paths()
    silent.clear()
    assert watched.paths() == ["i.0L1", "i.0L300"]
    silent.add("10.0.0.7:3260")
    with pytest.raises(TapeError, match="Cannot log in to the iSCSI target"):
        watched.paths()


def test_a_portal_gets_the_credentials_that_it_has(target: Any, tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text('["10.0.0.7:3260"]\nuser = "me"\npassword = "words"\n')
    file.chmod(0o600)
    logins: list[Any] = []

    def ask(login: Any) -> Any:
        logins.append(login)
        return [Offer(NAME, ())]

    made = ScsiIscsiSettings(
        initiator="iqn.2026-11.x:me", portals=("10.0.0.7",), credentials=str(file)
    )
    driver = ScsiIscsiDriver(made, target.connect, ask=ask)
    driver.settle(tmp_path)
    assert [one.physical_path for one in driver.discover()] == ["i.0L1", "i.0L300"]
    assert logins[0].chap.password == "words"
    assert target.logins[0].chap is None

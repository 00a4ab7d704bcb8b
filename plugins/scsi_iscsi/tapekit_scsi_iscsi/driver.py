"""The driver of drives and changers on iSCSI targets.

Every look asks portals for their targets, logs in to each target, asks it for
its logical units and each of them for its name. A device is opened through a
login of its own, and only if it is the one that was found there. While the
stack runs, targets are looked at now and then; whoever keeps the list of
devices looks anew if something has changed.
The one rule: a target that does not answer at any of its portals fails the
look as a whole, because leaving it out would give the names of its drives to
others.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, final

import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import (
    BridgeDescription,
    Condition,
    DriveDescription,
    PathPorts,
    TapeError,
)
from tapekit.scsi.door import ScsiAddress
from tapekit.scsi.inquiry import DeviceType
from tapekit.scsi_devices.changer import CdbChanger
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.scsi_devices.identity import identify
from tapekit_scsi_iscsi.credentials import read_credentials
from tapekit_scsi_iscsi.door import IscsiDoor
from tapekit_scsi_iscsi.errors import CATALOGUE
from tapekit_scsi_iscsi.library import Context, LibraryFailure, Login, load_library
from tapekit_scsi_iscsi.logical_units import logical_unit, report_luns
from tapekit_scsi_iscsi.settings import Target
from tapekit_scsi_iscsi.targets import KnownTargets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tapekit.scsi.door import DeviceDoor
    from tapekit.scsi_devices.identity import Identity
    from tapekit_scsi_iscsi.credentials import Chap
    from tapekit_scsi_iscsi.discovery import Offer
    from tapekit_scsi_iscsi.door import Connection
    from tapekit_scsi_iscsi.settings import ScsiIscsiSettings

__all__ = ["ScsiIscsiDriver", "ask_offers", "log_in"]

_LOG: Final = logging.getLogger("tapekit.scsi_iscsi")

_FORMAT: Final = "as the drive is set"
"""What each compression letter means to a drive of which nothing more is known."""

_WANTED: Final = frozenset({DeviceType.TAPE, DeviceType.CHANGER})
_BRIDGES: Final = frozenset(kind for kind in DeviceType if kind.is_bridge)


def log_in(login: Login) -> Connection:
    """A login through libiscsi.

    :raises LibraryFailure: the target cannot be reached, or refuses.
    :raises TapekitError: libiscsi is missing.
    """
    return Context(load_library(), login)


def ask_offers(login: Login) -> Sequence[Offer]:
    """Which targets a portal offers, through libiscsi.

    :raises LibraryFailure: the portal cannot be reached, refuses, or does not say.
    :raises TapekitError: libiscsi is missing.
    """
    context = Context(load_library(), login)
    try:
        offers = context.offers()
        context.log_out(login.timeout_s)
    finally:
        context.destroy()
    return offers


class _Found(NamedTuple):
    """A device and its place."""

    target: int
    lun: int
    identity: Identity

    @property
    def address(self) -> str:
        """What it is opened by: which device, and where; another device in its
        place has another address.
        """
        place, serial = f"{self.target}.{self.lun}", self.identity.serial
        return f"{serial}@{place}" if serial else place


class _Look(NamedTuple):
    """What one look at all targets has found."""

    found: Sequence[_Found]
    silent: Mapping[int, TapeError]
    """The targets that did not answer, and why."""
    answered: frozenset[str]
    """The names of the others."""


def _state(look: _Look, kind: DeviceType) -> object:
    """What differs if devices of a kind, or portals, have come or gone."""
    found = frozenset(one for one in look.found if one.identity.inquiry.type == kind)
    return found, frozenset(look.silent)


@final
class ScsiIscsiDriver:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDriver`, a
    :class:`tapekit.hookspecs.media_changer.ChangerDriver`, and what these may
    offer besides.
    """

    scheme: Final = "iscsi"

    def __init__(
        self,
        settings: ScsiIscsiSettings,
        connect: Callable[[Login], Connection] = log_in,
        rest: Callable[[float], Awaitable[object]] = trio.sleep,
        ask: Callable[[Login], Sequence[Offer]] = ask_offers,
    ) -> None:
        """:param connect: logs in to a target.
        :param ask: asks a portal for its targets.
        :param rest: lets so many seconds pass between two looks.
        """
        self._settings: Final = settings
        self._targets: Final = KnownTargets(settings, self.offers)
        self._connect: Final = connect
        self._rest: Final = rest
        self._ask: Final = ask
        self._credentials: Path | None = None
        self._is_watching = False
        self._state: Mapping[DeviceType, object] = {}
        """What was there of each kind when somebody looked for it last: one
        look may find what had not come yet when the other one was made."""
        self._told_silent: frozenset[int] = frozenset()
        """The targets of which somebody has been told that they do not answer."""
        self._known: dict[str, _Found] = {}
        """What was found at each address when somebody looked last."""

    def settle(self, base_directory: Path) -> None:
        """Take a relative file from here instead of the working directory."""
        if self._settings.credentials is not None:
            self._credentials = base_directory / self._settings.credentials

    def discover(self) -> Sequence[DriveDescription]:
        """See :meth:`TapeDriver.discover`.

        :raises TapekitError: a target does not answer, or libiscsi is missing.
        """
        return [
            DriveDescription(
                address=found.address,
                physical_path=_path(found.target, found.lun),
                vendor=found.identity.inquiry.vendor,
                product=found.identity.inquiry.product,
                revision=found.identity.inquiry.revision,
                serial=found.identity.serial,
                formats=dict.fromkeys("lmha", _FORMAT),
            )
            for found in self._look(DeviceType.TAPE)
        ]

    def discover_changers(self) -> Sequence[ChangerDescription]:
        """See :meth:`ChangerDriver.discover_changers`.

        :raises TapekitError: a target does not answer, or libiscsi is missing.
        """
        return [
            ChangerDescription(
                address=found.address,
                physical_path=_path(found.target, found.lun),
                vendor=found.identity.inquiry.vendor,
                product=found.identity.inquiry.product,
                revision=found.identity.inquiry.revision,
                serial=found.identity.serial,
            )
            for found in self._look(DeviceType.CHANGER)
        ]

    def discover_bridges(self) -> Sequence[BridgeDescription]:
        """See :meth:`BridgeFinder.discover_bridges`; the controller that some
        targets have as a logical unit counts as one.

        :raises TapekitError: a target does not answer, or libiscsi is missing.
        """
        found = self._all(self._survey())
        served = {one.target for one in found if one.identity.inquiry.type in _WANTED}
        return [
            BridgeDescription(
                physical_path=_path(one.target, one.lun),
                vendor=one.identity.inquiry.vendor,
                product=one.identity.inquiry.product,
                revision=one.identity.inquiry.revision,
                serial=one.identity.serial,
            )
            for one in found
            if one.identity.inquiry.type in _BRIDGES and one.target in served
        ]

    async def wait_for_change(self) -> None:
        """See :meth:`WatchfulDriver.wait_for_change`."""
        if not self._is_watching:
            self._is_watching = True
            return
        if not self._settings.look_every_s:
            await trio.sleep_forever()
        before = self._state
        while self._state == before:
            await self._rest(self._settings.look_every_s)
            # A silent portal is not waited for when the stack ends.
            self._state = await trio.to_thread.run_sync(self._present, abandon_on_cancel=True)

    def _present(self) -> Mapping[DeviceType, object]:
        """What there is now; if that cannot be said, why."""
        try:
            look = self._survey()
        except TapekitError as error:
            # Whoever looks anew meets it again, and tells it.
            return dict.fromkeys(_WANTED, str(error))
        return {kind: _state(look, kind) for kind in _WANTED}

    def open_drive(self, address: str) -> CdbDrive:
        """See :meth:`TapeDriver.open_drive`."""
        return self.drive_behind(self.open_door(address), address)

    def open_changer(self, address: str) -> CdbChanger:
        """See :meth:`ChangerDriver.open_changer`."""
        return self.changer_behind(self.open_door(address), address)

    def open_door(self, address: str) -> IscsiDoor:
        """See :meth:`DoorDriver.open_door`."""
        known = self._known.get(address)
        if known is None:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-such-address",
                condition=Condition.NO_DEVICE,
                address=address,
                known=", ".join(self._known) or "none",
            )
        device = _path(known.target, known.lun)
        door = self._door(known.target, known.lun)
        try:
            _check_identity(identify(door, device), known.identity, device)
        except BaseException:
            door.close()
            raise
        return door

    def drive_behind(self, door: DeviceDoor, address: str) -> CdbDrive:
        """See :meth:`DoorDriver.drive_behind`."""
        try:
            return CdbDrive(door, self._device(address), door.close)
        except BaseException:
            door.close()
            raise

    def changer_behind(self, door: DeviceDoor, address: str) -> CdbChanger:
        """See :meth:`DoorDriver.changer_behind`."""
        return CdbChanger(door, self._device(address), door.close)

    def ports(self, address: str) -> PathPorts:
        """See :meth:`PortedDriver.ports`; a path of this host is told apart by
        the portal at its other end.
        """
        target = self._targets[self._known[address].target]
        return PathPorts(f"{self._settings.initiator},{target.portal}", target.name)

    def _device(self, address: str) -> str:
        """The physical path name of a device that was found at an address."""
        known = self._known[address]
        return _path(known.target, known.lun)

    def _look(self, kind: DeviceType) -> Sequence[_Found]:
        look = self._survey()
        self._state = {**self._state, kind: _state(look, kind)}
        wanted = [one for one in self._all(look) if one.identity.inquiry.type == kind]
        self._known |= {one.address: one for one in wanted}
        return wanted

    def _all(self, look: _Look) -> Sequence[_Found]:
        """The devices of all targets. A portal that does not answer is left out
        only if another one of the same target does, which has its devices too.
        """
        for number, reason in look.silent.items():
            if self._targets[number].name not in look.answered:
                raise reason
            if number not in self._told_silent:
                _LOG.warning("a path is missing: %s", reason)
        self._told_silent = frozenset(look.silent)
        return look.found

    def _survey(self) -> _Look:
        found: list[_Found] = []
        silent: dict[int, TapeError] = {}
        present = self._targets.present()
        for number in present:
            try:
                found += list(self._devices(number))
            except TapeError as error:
                silent[number] = error
        answered = (self._targets[number].name for number in present if number not in silent)
        return _Look(found, silent, frozenset(answered))

    def _devices(self, target: int) -> Iterator[_Found]:
        """The devices of a target, in the order of their LUNs."""
        asked = self._door(target, 0)
        try:
            luns = sorted(report_luns(asked, _path(target, 0)), key=logical_unit)
        finally:
            asked.close()
        for lun in luns:
            door = self._door(target, lun)
            try:
                identity = identify(door, _path(target, lun))
            finally:
                door.close()
            if identity is not None:
                yield _Found(target, lun, identity)

    def _door(self, target: int, lun: int) -> IscsiDoor:
        wanted = self._targets[target]
        login = self._login(wanted, wanted.name)
        try:
            connection = self._connect(login)
        except LibraryFailure as failure:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-login",
                condition=Condition.NO_DEVICE,
                target=wanted.name,
                portal=wanted.portal,
                reason=str(failure),
            ) from failure
        address = ScsiAddress(0, target, logical_unit(lun))
        return IscsiDoor(connection, _path(target, lun), address, lun)

    def offers(self, portal: str) -> Sequence[Offer]:
        """Which targets a portal offers to this host.

        :param portal: as ``HOST:PORT``.
        :raises TapeError: ``NO_DEVICE``, it does not say.
        :raises TapekitError: libiscsi is missing.
        """
        try:
            return self._ask(self._login(Target(portal, ""), portal))
        except LibraryFailure as failure:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-offers",
                condition=Condition.NO_DEVICE,
                portal=portal,
                reason=str(failure),
            ) from failure

    def _login(self, target: Target, key: str) -> Login:
        """:param key: what has the credentials: a target's name, or a portal."""
        chap: Chap | None = None
        if self._credentials is not None:
            chap = read_credentials(self._credentials).get(key)
        settings = self._settings
        return Login(settings.initiator, target, chap, settings.login_timeout_s)


def _check_identity(present: Identity | None, known: Identity, device: str) -> None:
    """Whether a device is the one that was found before."""
    if present is None:
        raise CATALOGUE.raised_as(
            TapeError, "gone", condition=Condition.NO_DEVICE, device=device, serial=known.serial
        )
    if (present.inquiry.type, present.serial) != (known.inquiry.type, known.serial):
        raise CATALOGUE.raised_as(
            TapeError,
            "another-device",
            condition=Condition.NO_DEVICE,
            device=device,
            serial=known.serial,
            present=present.serial,
        )


def _path(target: int, lun: int) -> str:
    """The physical path name: the target's place among the settings, and the
    LUN unless it is 0.
    """
    unit = logical_unit(lun)
    return f"i.{target}L{unit}" if unit else f"i.{target}"

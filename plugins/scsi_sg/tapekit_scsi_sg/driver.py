"""The driver of drives and changers that this host is attached to.

Every look reads the kernel's list; a device is opened through its node, for
this process alone, and only if it is the one that was found there. The one
rule: what was found keeps its address until the kernel gives that to
something else, so that a device which is gone for a while is only gone.
"""

from __future__ import annotations

import errno
import logging
import os
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

from tapekit.hookspecs.media_changer import ChangerDescription
from tapekit.hookspecs.tape_driver import (
    BridgeDescription,
    Condition,
    DriveDescription,
    TapeError,
)
from tapekit.scsi.inquiry import DeviceType
from tapekit.scsi_devices.changer import CdbChanger
from tapekit.scsi_devices.drive import CdbDrive
from tapekit.scsi_devices.identity import identify
from tapekit_scsi_sg.attached import attached_devices
from tapekit_scsi_sg.changes import Announcements
from tapekit_scsi_sg.door import SgDoor
from tapekit_scsi_sg.errors import CATALOGUE
from tapekit_scsi_sg.places import physical_path
from tapekit_scsi_sg.sg_node import SgNode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.scsi.door import DeviceDoor
    from tapekit.scsi_devices.identity import Identity
    from tapekit_scsi_sg.attached import Attached
    from tapekit_scsi_sg.door import Node
    from tapekit_scsi_sg.settings import ScsiSgSettings

__all__ = ["ScsiSgDriver"]

_LOG: Final = logging.getLogger("tapekit.scsi_sg")

_SYSFS: Final = Path("/sys")
_NODES: Final = "/dev"
_FORMAT: Final = "as the drive is set"
"""What each compression letter means to a drive of which nothing more is known."""


@final
class ScsiSgDriver:
    """A :class:`tapekit.hookspecs.tape_driver.TapeDriver`, a
    :class:`tapekit.hookspecs.media_changer.ChangerDriver`, and what these may
    offer besides.
    """

    scheme: Final = "sg"

    def __init__(
        self,
        settings: ScsiSgSettings,
        *,
        sysfs: Path = _SYSFS,
        open_node: Callable[[str], Node] = SgNode,
        announcements: Announcements | None = None,
    ) -> None:
        """:param open_node: opens a node by its path."""
        self._settings: Final = settings
        self._sysfs: Final = sysfs
        self._open_node: Final = open_node
        self._announcements: Final = announcements or Announcements()
        self._known: dict[str, Attached] = {}
        """What was found at each address when somebody looked last."""

    def discover(self) -> Sequence[DriveDescription]:
        """See :meth:`TapeDriver.discover`.

        :raises TapeError: the kernel has no list of SCSI devices.
        """
        return [
            DriveDescription(
                address=found.address,
                physical_path=self._path(found),
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

        :raises TapeError: the kernel has no list of SCSI devices.
        """
        return [
            ChangerDescription(
                address=found.address,
                physical_path=self._path(found),
                vendor=found.identity.inquiry.vendor,
                product=found.identity.inquiry.product,
                revision=found.identity.inquiry.revision,
                serial=found.identity.serial,
            )
            for found in self._look(DeviceType.CHANGER)
        ]

    def discover_bridges(self) -> Sequence[BridgeDescription]:
        """See :meth:`BridgeFinder.discover_bridges`; nothing is asked of them.

        :raises TapeError: the kernel has no list of SCSI devices.
        """
        found = attached_devices(self._sysfs)
        served = {one.nexus[:3] for one in found if one.is_wanted}
        return [
            BridgeDescription(
                physical_path=self._path(one),
                vendor=one.identity.inquiry.vendor,
                product=one.identity.inquiry.product,
                revision=one.identity.inquiry.revision,
                serial=one.identity.serial,
            )
            for one in found
            if one.is_bridge and one.nexus[:3] in served
        ]

    async def wait_for_change(self) -> None:
        """See :meth:`WatchfulDriver.wait_for_change`."""
        await self._announcements.change()

    def open_drive(self, address: str) -> CdbDrive:
        """See :meth:`TapeDriver.open_drive`."""
        return self.drive_behind(self.open_door(address), address)

    def open_changer(self, address: str) -> CdbChanger:
        """See :meth:`ChangerDriver.open_changer`."""
        return self.changer_behind(self.open_door(address), address)

    def open_door(self, address: str) -> SgDoor:
        """See :meth:`DoorDriver.open_door`."""
        known = self._found(address)
        device, identity = self._path(known), known.identity
        node = self._opened_node(known, device)
        door = SgDoor(node, device, identity.serial, known.nexus.address)
        try:
            _check_identity(identify(door, device), identity, device)
        except BaseException:
            door.close()
            raise
        return door

    def drive_behind(self, door: DeviceDoor, address: str) -> CdbDrive:
        """See :meth:`DoorDriver.drive_behind`."""
        try:
            return CdbDrive(door, self._path(self._found(address)), door.close)
        except BaseException:
            door.close()
            raise

    def changer_behind(self, door: DeviceDoor, address: str) -> CdbChanger:
        """See :meth:`DoorDriver.changer_behind`."""
        return CdbChanger(door, self._path(self._found(address)), door.close)

    def _look(self, kind: DeviceType) -> Sequence[Attached]:
        found = attached_devices(self._sysfs)
        wanted = [one for one in self._reachable(found) if one.kind == kind]
        self._known |= {one.address: one for one in wanted}
        return wanted

    def _reachable(self, found: Sequence[Attached]) -> Iterator[Attached]:
        """The drives and changers, target by target."""
        for target, units in groupby(found, key=lambda one: one.nexus[:3]):
            all_units = list(units)
            wanted = [one for one in all_units if one.is_wanted]
            first = all_units[0]
            if not self._settings.needs_lun_0 or (first.is_wanted and first.nexus.lun == 0):
                yield from wanted
            elif wanted:
                _LOG.warning(
                    "the drives and changers of the target %s are not used, since its LUN 0 "
                    "is neither; see the setting needs_lun_0 of scsi_sg",
                    ":".join(map(str, target)),
                )

    def _path(self, found: Attached) -> str:
        return physical_path(found, self._sysfs, self._settings)

    def _found(self, address: str) -> Attached:
        known = self._known.get(address)
        if known is None:
            raise CATALOGUE.raised_as(
                TapeError,
                "no-such-address",
                condition=Condition.NO_DEVICE,
                address=address,
                known=", ".join(self._known) or "none",
            )
        return known

    def _opened_node(self, known: Attached, device: str) -> Node:
        path = f"{_NODES}/{known.node}"
        try:
            return self._open_node(path)
        except OSError as error:
            raise _open_error(error, known, device, path) from error


def _open_error(error: OSError, known: Attached, device: str, node: str) -> TapeError:
    reason = os.strerror(error.errno or 0)
    if error.errno == errno.EBUSY:
        return CATALOGUE.raised_as(
            TapeError, "in-use", condition=Condition.BUSY, device=device, node=node
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return CATALOGUE.raised_as(
            TapeError,
            "not-permitted",
            condition=Condition.NO_DEVICE,
            device=device,
            node=node,
            reason=reason,
        )
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return _gone(device, known.identity)
    return CATALOGUE.raised_as(
        TapeError,
        "not-opened",
        condition=Condition.NO_DEVICE,
        device=device,
        node=node,
        reason=reason,
    )


def _gone(device: str, known: Identity) -> TapeError:
    return CATALOGUE.raised_as(
        TapeError, "gone", condition=Condition.NO_DEVICE, device=device, serial=known.serial
    )


def _check_identity(present: Identity | None, known: Identity, device: str) -> None:
    """Whether a device is the one that was found before."""
    if present is None:
        raise _gone(device, known)
    if (present.inquiry.type, present.serial) != (known.inquiry.type, known.serial):
        raise CATALOGUE.raised_as(
            TapeError,
            "another-device",
            condition=Condition.NO_DEVICE,
            device=device,
            serial=known.serial,
            present=present.serial,
        )

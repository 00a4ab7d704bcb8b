"""Performs what an administrator asks of single tape drives.

What touches a drive runs in a worker thread and takes the drive's place in
the table of holders, as a session does. The one rule: a drive that a session
uses is neither moved nor reset.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit.hookspecs.operations import NoReply
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi_devices.conversation import Conversation
from tapekit.scsi_devices.health import counters
from tapekit_tape_devices.drive_operations import (
    COUNTERS,
    ERASE,
    ERRORS,
    ONLINE,
    POSITION,
    RESET,
    STATISTICS,
    TRACE,
    ZERO_STATISTICS,
    CountersReply,
    DriveCounters,
    DriveErrors,
    DriveStatistics,
    ErrorsReply,
    Movement,
    PositionReply,
    PositionRequest,
    StatisticsReply,
    SwitchReply,
    TraceReply,
)
from tapekit_tape_devices.errors import CATALOGUE
from tapekit_tape_devices.positioning import move
from tapekit_tape_devices.tape_trace import DriveTrace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit_tape_devices.drive_operations import (
        CountersRequest,
        DriveRequest,
        OnlineRequest,
        TraceRequest,
    )
    from tapekit_tape_devices.inventory import Inventory
    from tapekit_tape_devices.numbered_drive import NumberedDrive

__all__ = ["DriveAdministration"]

_ADMINISTRATOR: Final = "an administrator's command"
_NO_FILE_NAME: Final = re.compile(r"[^A-Za-z0-9.-]")


@final
class DriveAdministration:
    """Performs the operations of :mod:`tapekit_tape_devices.drive_operations`."""

    def __init__(self, inventory: Inventory, node: Callable[[], str]) -> None:
        """:param node: tells the name of this node."""
        self._inventory: Final = inventory
        self._node: Final = node
        self._clock: Callable[[], float] = lambda: 0.0
        self._traces: Path | None = None
        self._tracing: Final = trio.Lock()
        """Held by who begins or ends traces, so that each drive has one at most."""

    def settle(self, traces: Path, clock: Callable[[], float]) -> None:
        """Take the folder of traces, and what tells the time in seconds since
        1970; called once, before all else.
        """
        self._traces = traces
        self._clock = clock

    def offered(self) -> tuple[OfferedOperation, ...]:
        """All of them, for the kernel."""
        return (
            ONLINE.performed_by(self.set_online),
            TRACE.performed_by(self.trace),
            POSITION.performed_by(self.position),
            ERASE.performed_by(self.erase),
            RESET.performed_by(self.reset),
            ERRORS.performed_by(self.errors),
            COUNTERS.performed_by(self.counters),
            STATISTICS.performed_by(self.statistics),
            ZERO_STATISTICS.performed_by(self.zero_statistics),
        )

    def close(self) -> None:
        """End all traces."""
        for drive in self._inventory.numbered():
            self._end_trace(drive)

    async def set_online(self, request: OnlineRequest) -> SwitchReply:
        """Bring a drive online or take it offline.

        :raises TapekitError: there is no such drive, or it is in use.
        """
        self._check_node(request.node)
        drive = await self._called(request.drive)
        inventory = self._inventory

        def switch() -> None:
            inventory.take(drive, _ADMINISTRATOR)
            try:
                inventory.offline.set(drive.description, is_online=request.is_online)
            finally:
                inventory.give_back(drive)

        await trio.to_thread.run_sync(switch)
        return self._switched(drive)

    async def trace(self, request: TraceRequest) -> TraceReply:
        """Begin or end the trace of a drive, or of all.

        :raises TapekitError: there is no such drive, or no file can be made.
        """
        self._check_node(request.node)
        if request.drive is None:
            drives = await trio.to_thread.run_sync(self._inventory.numbered)
        else:
            drives = [await self._called(request.drive)]
        files = {}
        async with self._tracing:
            for drive in drives:
                change = self._begin_trace if request.is_on else self._end_trace
                file = await trio.to_thread.run_sync(change, drive)
                if file is not None:
                    files[drive.description.physical_path] = str(file)
        return TraceReply(is_on=request.is_on, files=files)

    def _begin_trace(self, drive: NumberedDrive) -> Path:
        watch = self._inventory.watch(drive)
        present = watch.trace
        if present is not None:
            return present.file
        assert self._traces is not None
        path = drive.description.physical_path
        now = dt.datetime.fromtimestamp(self._clock(), dt.UTC)
        file = self._traces / f"tape-{_NO_FILE_NAME.sub('_', path)}-{now:%Y%m%dT%H%M%S.%fZ}.log"
        try:
            watch.trace = DriveTrace(file)
        except OSError as error:
            raise CATALOGUE.error("trace-not-made", file=file, reason=error.strerror) from error
        watch.say(f"trace of tape drive {path}, serial number {drive.description.serial}")
        return file

    def _end_trace(self, drive: NumberedDrive) -> Path | None:
        watch = self._inventory.watch(drive)
        trace, watch.trace = watch.trace, None
        if trace is None:
            return None
        trace.close()
        return trace.file

    async def position(self, request: PositionRequest) -> PositionReply:
        """Move the tape in a drive.

        :raises TapekitError: there is no such drive, it is offline or in use,
            or the tape cannot move, or would be erased.
        """
        self._check_node(request.node)
        if request.movement is Movement.ERASE:
            raise CATALOGUE.error("erase-is-advanced", drive=request.drive)
        drive = await self._called(request.drive)
        return await trio.to_thread.run_sync(self._moved, drive, request)

    async def erase(self, request: DriveRequest) -> PositionReply:
        """Erase the tape in a drive.

        :raises TapekitError: there is no such drive, it is offline or in use,
            or the tape cannot be erased.
        """
        self._check_node(request.node)
        drive = await self._called(request.drive)
        whole = PositionRequest(drive=request.drive, movement=Movement.ERASE)
        return await trio.to_thread.run_sync(self._moved, drive, whole)

    def _moved(self, drive: NumberedDrive, request: PositionRequest) -> PositionReply:
        inventory, path = self._inventory, drive.description.physical_path
        inventory.take_online(drive, _ADMINISTRATOR)
        try:
            opened = inventory.open_drive(drive)
            try:
                # A drive hears of a new tape when it is asked.
                if not opened.status().has_tape:
                    raise CATALOGUE.raised_as(
                        TapeError, "no-tape", condition=Condition.NO_TAPE, drive=path
                    )
                done = move(opened, request.movement, request.count, path)
                place = opened.status().position
            finally:
                opened.close()
        finally:
            inventory.give_back(drive)
        return PositionReply(physical_path=path, done=done, file=place.file, record=place.record)

    async def reset(self, request: DriveRequest) -> SwitchReply:
        """Reset a drive, whoever has reserved it.

        :raises TapekitError: there is no such drive, it is in use here, or it
            cannot be reset.
        """
        self._check_node(request.node)
        drive = await self._called(request.drive)
        await trio.to_thread.run_sync(self._reset, drive)
        return self._switched(drive)

    def _reset(self, drive: NumberedDrive) -> None:
        path = drive.description.physical_path
        bare = self._inventory.bare.open(path, _ADMINISTRATOR)
        try:
            if bare.door is None:
                raise _no_raw_door(path)
            bare.door.reset()
        finally:
            bare.close()
        self._inventory.watch(drive).say("reset by an administrator")

    async def errors(self, _request: NoRequest) -> ErrorsReply:
        """Tell what went wrong with each drive."""
        drives = await trio.to_thread.run_sync(self._inventory.numbered)
        return ErrorsReply(node=self._node(), drives=tuple(map(self._errors, drives)))

    def _errors(self, drive: NumberedDrive) -> DriveErrors:
        found, watch = drive.description, self._inventory.watch(drive)
        return DriveErrors(
            physical_path=found.physical_path,
            device_type="tape drive",
            description=self._inventory.description(drive),
            serial=found.serial,
            aliases=tuple(self._inventory.names(drive)),
            counts=dict(watch.conditions),
            soft_errors=watch.soft_errors,
            alerts=dict(watch.alerts),
            recent=tuple(watch.recent),
        )

    async def counters(self, request: CountersRequest) -> CountersReply:
        """Tell what drives count themselves.

        :raises TapekitError: there is no such drive.
        """
        self._check_node(request.node)
        if request.drive is None:
            drives = await trio.to_thread.run_sync(self._inventory.numbered)
        else:
            drives = [await self._called(request.drive)]
        rows = [await trio.to_thread.run_sync(self._counted, drive) for drive in drives]
        return CountersReply(node=self._node(), drives=tuple(rows))

    def _counted(self, drive: NumberedDrive) -> DriveCounters:
        path = drive.description.physical_path
        try:
            bare = self._inventory.bare.open(path, _ADMINISTRATOR)
            try:
                if bare.door is None:
                    raise _no_raw_door(path)
                found = counters(Conversation(bare.door, path, TAPE_COMMANDS))
            finally:
                bare.close()
        except TapeError as error:
            return DriveCounters(physical_path=path, reason=str(error))
        pages = {title: dict(page) for title, page in found.items()}
        return DriveCounters(physical_path=path, pages=pages)

    async def statistics(self, _request: NoRequest) -> StatisticsReply:
        """Tell what each drive has done."""
        drives = await trio.to_thread.run_sync(self._inventory.numbered)
        return StatisticsReply(node=self._node(), drives=tuple(map(self._statistics, drives)))

    def _statistics(self, drive: NumberedDrive) -> DriveStatistics:
        watch = self._inventory.watch(drive)
        return DriveStatistics(
            physical_path=drive.description.physical_path,
            aliases=tuple(self._inventory.names(drive)),
            since_s=watch.since_s,
            counts=msgspec.structs.replace(watch.counts),
        )

    async def zero_statistics(self, request: DriveRequest) -> NoReply:
        """Set the statistics of a drive to zero.

        :raises TapekitError: there is no such drive.
        """
        self._check_node(request.node)
        self._inventory.watch(await self._called(request.drive)).zero()
        return NoReply()

    async def _called(self, words: str) -> NumberedDrive:
        return await trio.to_thread.run_sync(self._inventory.called, words)

    def _switched(self, drive: NumberedDrive) -> SwitchReply:
        found = drive.description
        is_online = not self._inventory.offline.is_offline(found)
        return SwitchReply(physical_path=found.physical_path, is_online=is_online)

    def _check_node(self, node: str | None) -> None:
        present = self._node()
        if node not in {None, "local", present}:
            raise CATALOGUE.error("other-node", node=node, present=present)


def _no_raw_door(device: str) -> TapeError:
    return CATALOGUE.raised_as(
        TapeError, "no-raw-door", condition=Condition.BAD_REQUEST, device=device
    )

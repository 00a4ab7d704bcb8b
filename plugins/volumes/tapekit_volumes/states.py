"""States and types of volumes, over restarts and between processes.

What a volume is now stands in the stack's state, as far as it differs from
the stack file; each use looks there, so that a command takes effect at once
in a server that runs. The one rule: a volume whose image is not whole is
not online until another image has made it whole, or nothing is left in it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit.hookspecs.events import Event
from tapekit.hookspecs.volume_images import (
    VolumeFacts,
    VolumeState,
    VolumeStyle,
    VolumeType,
)
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.places import Places
from tapekit_volumes.volume_lock import VolumeLock, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit_volumes.table import Volume

__all__ = ["StateRecord", "VolumeStates", "forget_memory", "memory_of"]

_NAMESPACE: Final = "volumes.states"


class StateRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a volume."""

    state: VolumeState = VolumeState.ONLINE
    type: VolumeType | None = None
    """``None`` as long as it is the one of the stack file, at most until an
    image is written to it."""
    is_whole: bool = True
    """Whether no restore of an image has been left in the middle."""
    type_changes: int = 0
    """How often its type has changed."""


@final
class VolumeStates:
    """The states of all volumes of a stack; for any number of threads."""

    def __init__(self, kernel: Kernel) -> None:
        self._store: Final = kernel.state
        self._announce: Final = kernel.announce
        self._clock: Final = kernel.clock
        self._suspended: Final[Counter[str]] = Counter()
        self._places: Final = Places(kernel.state)

    def facts(self, volume: Volume) -> VolumeFacts:
        """What a volume is now.

        :raises TapekitError: what is remembered cannot be read.
        """
        record = self._record(volume)
        return VolumeFacts(
            path=volume.path,
            state=record.state,
            type=record.type or volume.type,
            style=volume.style,
            is_whole=record.is_whole,
        )

    def type_changes(self, volume: Volume) -> int:
        """How often the type of a volume has changed.

        :raises TapekitError: what is remembered cannot be read.
        """
        return self._record(volume).type_changes

    def online(self, volumes: Iterable[Volume]) -> list[str]:
        """The paths of those volumes that are online."""
        return [each.path for each in volumes if self.facts(each).state is VolumeState.ONLINE]

    def check(self, volume: Volume, *, writes: bool = False) -> None:
        """Tell whether the files of a volume may be used.

        :param writes: whether they are to be changed.
        :raises TapekitError: the volume is offline or restricted, or it is
            read-only and to be changed.
        """
        if not self._places.is_present(volume):
            # It has moved since this process looked where it is.
            raise CATALOGUE.error("volume-in-transitional-state", volume=volume.path)
        facts = self.facts(volume)
        if facts.state is VolumeState.OFFLINE:
            raise CATALOGUE.error("volume-offline", volume=volume.path)
        if facts.state is VolumeState.RESTRICTED:
            raise CATALOGUE.error("volume-restricted", volume=volume.path)
        if writes and facts.type is VolumeType.DP:
            raise CATALOGUE.error("destination-volume-protected", volume=volume.path)

    @contextlib.contextmanager
    def dumps_suspended(self, volume: Volume) -> Iterator[None]:
        """Let no backup of a volume's files begin while the context lasts. Only
        this process knows: it is the one that serves backups of its stack.
        """
        self._suspended[volume.path] += 1
        try:
            yield
        finally:
            self._suspended[volume.path] -= 1

    def check_dump(self, volume: Volume) -> None:
        """Tell whether a backup of a volume's files may begin.

        :raises TapekitError: not now, or as :meth:`check`.
        """
        if self._suspended[volume.path] > 0:
            raise CATALOGUE.error("dumps-disabled", volume=volume.path)
        self.check(volume)

    def use(self, volume: Volume, *, writes: bool = False) -> VolumeLock:
        """Use a volume's files until the lock is released; nobody changes its
        state meanwhile.

        :raises TapekitError: as :meth:`check`, or the volume is not there.
        """
        lock = _attempt(volume, shared=True)
        try:
            self.check(volume, writes=writes)
        except BaseException:
            if lock is not None:
                lock.release()
            raise
        if lock is None:
            # Another process changes its state at this moment.
            raise CATALOGUE.error("volume-in-transitional-state", volume=volume.path)
        return lock

    def open_alone(self, volume: Volume) -> VolumeLock:
        """Take a restricted volume to write an image to it.

        :raises TapekitError: it is not restricted, no data protection volume,
            or another restore has it.
        """
        facts = self.facts(volume)
        if facts.style is VolumeStyle.FLEXGROUP:
            raise CATALOGUE.error("volume-is-flexgroup", volume=volume.path)
        lock = _attempt(volume, shared=False)
        facts = self.facts(volume)
        with contextlib.ExitStack() as undo:
            if lock is not None:
                undo.callback(lock.release)
            if facts.state is not VolumeState.RESTRICTED:
                raise CATALOGUE.error("volume-not-restricted", volume=volume.path)
            if lock is None:
                raise CATALOGUE.error("volume-in-use", volume=volume.path)
            if facts.type is not VolumeType.DP:
                raise CATALOGUE.error("volume-not-protected", volume=volume.path)
            undo.pop_all()
        return lock

    def change(self, volume: Volume, state: VolumeState) -> None:
        """Bring a volume into another state.

        :raises TapekitError: somebody uses it, its image is not whole, or
            the state cannot be written.
        """
        with self.alone(volume):
            record = self._record(volume)
            if state is VolumeState.ONLINE:
                record = _whole(volume, record)
            self._write(volume, msgspec.structs.replace(record, state=state))

    def change_type(self, volume: Volume, kind: VolumeType) -> None:
        """Begin or end the protection of a volume. What engines know of its
        last image is forgotten, so that the next one must be a baseline.

        :raises TapekitError: somebody uses it, its image is not whole, or
            the state cannot be written.
        """
        with self.alone(volume):
            record = _whole(volume, self._record(volume))
            if self.facts(volume).type is not kind:
                forget_memory(volume)
                self._write(volume, _of_type(record, kind))

    def forget(self, volume: Volume) -> None:
        """Forget what a volume was that is none any more.

        :raises TapekitError: the state cannot be written.
        """
        self._store.change(_NAMESPACE, {volume.path: None})

    def begin_image(self, volume: Volume) -> None:
        """Remember that a volume is not whole; its caller has it alone. From
        now on its type is no longer that of the stack file: if that changed
        and came back, what was written meanwhile would be found by nobody.

        :raises TapekitError: the state cannot be written.
        """
        record = self._record(volume)
        kind = record.type or volume.type
        self._write(volume, msgspec.structs.replace(record, type=kind, is_whole=False))

    def end_image(self, volume: Volume, *, writable: bool) -> None:
        """Bring a volume online whose image is whole; its caller has it alone.

        :raises TapekitError: the state cannot be written.
        """
        record = self._record(volume)
        if writable:
            forget_memory(volume)
            record = _of_type(record, VolumeType.RW)
        whole = msgspec.structs.replace(record, state=VolumeState.ONLINE, is_whole=True)
        self._write(volume, whole)

    @contextlib.contextmanager
    def alone(self, volume: Volume) -> Iterator[None]:
        """Keep everybody else from using a volume.

        :raises TapekitError: somebody uses it.
        """
        lock = _attempt(volume, shared=False)
        if lock is None:
            raise CATALOGUE.error("volume-in-use", volume=volume.path)
        try:
            yield
        finally:
            lock.release()

    def _record(self, volume: Volume) -> StateRecord:
        value = self._store.get(_NAMESPACE, volume.path)
        if value is None:
            return StateRecord()
        try:
            return msgspec.json.decode(value, type=StateRecord)
        except msgspec.DecodeError as error:
            raise CATALOGUE.error(
                "state-not-understood", volume=volume.path, reason=error
            ) from error

    def _write(self, volume: Volume, record: StateRecord) -> None:
        self._store.change(_NAMESPACE, {volume.path: msgspec.json.encode(record)})
        facts = self.facts(volume)
        told = {"volume": volume.path, "state": facts.state.value, "type": facts.type.value}
        self._announce(Event(name="volumes.changed", facts=told, time_s=self._clock()))


def memory_of(volume: Volume) -> Path:
    """The folder in which engines keep what they know of a volume's image;
    its name is none that a Snapshot copy can have.
    """
    return volume.snapshots / ".image"


def _whole(volume: Volume, record: StateRecord) -> StateRecord:
    """The record of a volume that is whole, as one with nothing in it is.

    :raises TapekitError: its image is not.
    """
    if record.is_whole:
        return record
    if not _is_empty(volume):
        raise CATALOGUE.error("image-not-whole", volume=volume.path)
    forget_memory(volume)
    return msgspec.structs.replace(record, is_whole=True)


def _is_empty(volume: Volume) -> bool:
    """Whether nothing is in a volume but what its file system puts there.

    :raises TapekitError: it cannot be looked at.
    """
    try:
        with os.scandir(volume.directory) as entries:
            return all(entry.name == "lost+found" for entry in entries)
    except OSError as error:
        raise unreachable(volume.path, error) from error


def _of_type(record: StateRecord, kind: VolumeType) -> StateRecord:
    return msgspec.structs.replace(record, type=kind, type_changes=record.type_changes + 1)


def forget_memory(volume: Volume) -> None:
    """Forget what engines know of a volume's last image.

    :raises TapekitError: the folder cannot be removed.
    """
    try:
        shutil.rmtree(memory_of(volume))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise CATALOGUE.error(
            "snapshot-folder-not-usable",
            volume=volume.path,
            folder=memory_of(volume),
            reason=error.strerror,
        ) from error


def _attempt(volume: Volume, *, shared: bool) -> VolumeLock | None:
    """Try to lock a volume.

    :raises TapekitError: it is not there, or its folder of Snapshot copies
        cannot be used.
    """
    try:
        if volume.method is None:
            return VolumeLock.attempt(volume.directory, shared=shared)
        os.close(os.open(volume.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except OSError as error:
        raise unreachable(volume.path, error) from error
    try:
        return VolumeLock.attempt_in(volume.snapshots, shared=shared)
    except OSError as error:
        raise CATALOGUE.error(
            "snapshot-folder-not-usable",
            volume=volume.path,
            folder=volume.snapshots,
            reason=error.strerror,
        ) from error

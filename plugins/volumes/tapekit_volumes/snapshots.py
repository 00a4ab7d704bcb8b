"""Snapshot copies of volumes: made, held, let go and removed.

Methods make and remove copies; here they get names, locks and times. A copy
that a backup makes for itself is called ``snapshot_for_backup.N`` with the
smallest N that is free, and is locked for it alone; others may be read by
several at once. The one rule: whoever makes or removes a copy holds its lock
alone from before the first step to after the last.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import math
import time
import uuid
from typing import TYPE_CHECKING, Final, NamedTuple, final

import msgspec

from tapekit.errors import TapekitError
from tapekit.hookspecs.events import Event
from tapekit.hookspecs.storage import for_ever
from tapekit.hookspecs.volume_images import SnapshotCopy
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.file_lock import FileLock, lock_path
from tapekit_volumes.lock_records import CopyRecord, LockRecord, LockRecords, copy_record
from tapekit_volumes.paths import is_copy_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.storage import KeepGoing, SnapshotMethod, SnapshotTree
    from tapekit_volumes.table import Volume

__all__ = ["ADMINISTRATOR", "CopyRow", "HeldCopy", "SnapshotKeeper"]

_LOG: Final = logging.getLogger("tapekit.volumes")

_FOR_BACKUP: Final = "snapshot_for_backup."
_MOST_COPIES: Final = 255
"""Of one volume, those of backups that run among them."""
ADMINISTRATOR: Final = "administrator"
"""Who makes and removes copies by commands."""
_COARSE_CLOCK: Final = 5
"""``CLOCK_REALTIME_COARSE`` of Linux, which :mod:`time` does not name: the
time of the last timer tick, from which file systems take change times. A
machine that is held up may tick late, so that a change that comes after a
reading of a finer clock bears an earlier time."""


class CopyRow(NamedTuple):
    """A Snapshot copy as listings show it."""

    name: str
    taken_at_s: int | None
    """The time that its data stands for, in seconds since 1970, if anybody
    remembers."""
    holders: tuple[str, ...]


@final
class HeldCopy:
    """A Snapshot copy that stays until it is let go."""

    def __init__(
        self, tree: SnapshotTree, name: str, taken_at_s: int, let_go: Callable[[], None]
    ) -> None:
        self.tree: Final = tree
        self.name: Final = name
        self.taken_at_s: Final = taken_at_s
        self._undo: Final = contextlib.ExitStack()
        self._undo.callback(let_go)
        self._undo.callback(tree.close)

    def let_go(self) -> None:
        """Give it back; a copy made for its holder is removed. Later calls
        do nothing.
        """
        self._undo.close()


@final
class SnapshotKeeper:
    """All Snapshot copies of a stack; for any number of threads."""

    def __init__(self, kernel: Kernel) -> None:
        self._records: Final = LockRecords(kernel.state)
        self._clock: Final = kernel.clock
        self._announce: Final = kernel.announce

    def now_s(self) -> int:
        """A second that has ended for everything that changes from now on."""
        return math.floor(min(self._clock(), time.clock_gettime(_COARSE_CLOCK)))

    def make_for_backup(
        self,
        volume: Volume,
        method: SnapshotMethod,
        holder: str,
        keep_going: KeepGoing = for_ever,
    ) -> HeldCopy:
        """Make a copy that goes when it is let go.

        :param keep_going: called meanwhile; what it raises is passed on.
        :raises TapekitError: the method, the folder or the state refuses.
        """
        with contextlib.ExitStack() as undo:
            name, lock = self._free_name(volume, method)
            undo.callback(lock.release)
            _require_room(volume, method)
            moment_s = self.now_s()
            self._records.remove_all(volume.path, name)
            key = self._records.add(_record(volume, method, name, holder, temporary=True))
            undo.callback(self._forget, key)
            self._records.note_copy(volume.path, name, _new_copy(moment_s))
            tree = method.create(volume.directory, volume.snapshots, name, keep_going)
            undo.pop_all()
        self._tell("volumes.snapshot-created", volume.path, name, holder)
        let_go = functools.partial(self._end_of_backup, volume, method, name, key, lock, holder)
        return HeldCopy(tree, name, moment_s, let_go)

    def check(self, volume: Volume, name: str) -> None:
        """Tell whether there is a copy to hold.

        :raises TapekitError: there is none.
        """
        if name not in _method_of(volume).names(volume.snapshots):
            raise CATALOGUE.error("unable-to-lock-snapshot", volume=volume.path)

    def hold(self, volume: Volume, name: str, holder: str) -> HeldCopy:
        """Hold an existing copy, which others may read as well.

        :raises TapekitError: there is none, or it is being made, removed or
            used by the backup that it was made for.
        """
        method = _method_of(volume)
        with contextlib.ExitStack() as undo:
            is_there = name in method.names(volume.snapshots)
            lock = _lock(volume, name, shared=True) if is_there else None
            if lock is None:
                raise CATALOGUE.error("unable-to-lock-snapshot", volume=volume.path)
            undo.callback(lock.release)
            tree = method.open(volume.snapshots, name)
            key = self._records.add(_record(volume, method, name, holder, temporary=False))
            undo.callback(self._forget, key)
            known = self._known(volume, name, tree)
            let_go = undo.pop_all().close
        return HeldCopy(tree, name, known.begun_at_s, let_go)

    def create(
        self,
        volume: Volume,
        name: str,
        holder: str = ADMINISTRATOR,
        keep_going: KeepGoing = for_ever,
        *,
        stands_for: tuple[str, int] | None = None,
    ) -> SnapshotCopy:
        """Make a copy that stays until it is deleted.

        :param holder: who makes it, for the event.
        :param keep_going: called meanwhile; what it raises is passed on.
        :param stands_for: identifier and time of another system's copy that
            this one is a restored one of.
        :raises TapekitError: the name is not allowed or in use, or as
            :meth:`make_for_backup`.
        """
        method = _method_of(volume)
        if not is_copy_name(name) or name.startswith(_FOR_BACKUP):
            raise CATALOGUE.error("bad-copy-name", name=name, reserved=_FOR_BACKUP)
        with self._alone(volume, name):
            if name in method.names(volume.snapshots):
                raise CATALOGUE.error("copy-name-taken", volume=volume.path, name=name)
            _require_room(volume, method)
            record = _new_copy(self.now_s(), stands_for)
            self._records.note_copy(volume.path, name, record)
            try:
                method.create(volume.directory, volume.snapshots, name, keep_going).close()
            except BaseException:
                self._records.forget_copy(volume.path, name)
                raise
        self._tell("volumes.snapshot-created", volume.path, name, holder)
        return SnapshotCopy(name, record.identifier, record.created_at_s, ())

    def delete(self, volume: Volume, name: str, holder: str = ADMINISTRATOR) -> None:
        """Delete a copy that nobody holds.

        :param holder: who deletes it, for the event.
        :raises TapekitError: there is none, it is in use, or it cannot be
            removed.
        """
        method = _method_of(volume)
        if name not in method.names(volume.snapshots):
            raise CATALOGUE.error("no-such-copy", volume=volume.path, name=name)
        with self._alone(volume, name):
            method.delete(volume.snapshots, name)
            self._records.forget_copy(volume.path, name)
        self._tell("volumes.snapshot-deleted", volume.path, name, holder)

    def rows(self, volume: Volume) -> Sequence[CopyRow]:
        """The whole copies of a volume, oldest first."""
        names = () if volume.method is None else volume.method.names(volume.snapshots)
        return [self._row(volume, name) for name in names]

    def copies(self, volume: Volume) -> Sequence[SnapshotCopy]:
        """The whole copies of a volume, oldest first, but for those that
        backups have made for themselves.
        """
        names = () if volume.method is None else volume.method.names(volume.snapshots)
        return [self.copy(volume, name) for name in names if not name.startswith(_FOR_BACKUP)]

    def copy(self, volume: Volume, name: str) -> SnapshotCopy:
        """What a whole copy is.

        :raises TapekitError: there is none.
        """
        known = self._records.copy(volume.path, name)
        if known is None:
            tree = _method_of(volume).open(volume.snapshots, name)
            try:
                known = self._known(volume, name, tree)
            finally:
                tree.close()
        holders = self._records.holders(volume.path, name)
        return SnapshotCopy(name, known.identifier, known.created_at_s, holders)

    def lock(self, volume: Volume, name: str, holder: str) -> bool:
        """Keep a copy that the caller holds, over restarts, until :meth:`unlock`.

        :returns: whether the copy was made for a backup, and goes then.
        :raises TapekitError: the state cannot be written.
        """
        known = self._records.of_copy(volume.path, name).values()
        temporary = any(record.temporary for record in known)
        record = _record(volume, _method_of(volume), name, holder, temporary=temporary)
        self._records.add(msgspec.structs.replace(record, lasting=True))
        return temporary

    def unlock(self, volume: Volume, name: str, holder: str) -> None:
        """Undo :meth:`lock`; a copy that was made for a backup is removed with
        its last lock. Nothing happens if there is no such lock.

        :raises TapekitError: somebody reads a copy that is to be removed, or
            it cannot be removed; the lock stays.
        """
        lasting = self._records.lasting(volume.path, name)
        ours = {key: record for key, record in lasting.items() if record.holder == holder}
        is_last = len(ours) == len(lasting)
        if ours and is_last and any(record.temporary for record in ours.values()):
            self._remove_locked(volume, name, holder)
        for key in ours:
            self._records.remove(key)

    def abandon(self, volume: str, name: str, holder: str) -> None:
        """Undo :meth:`lock` for a volume that the stack has no longer. A copy
        that was made for a backup goes at the next start, if its folder is
        still there.

        :raises TapekitError: the state cannot be written.
        """
        for key, record in self._records.lasting(volume, name).items():
            if record.holder == holder:
                self._records.end_lasting(key, record)

    def _row(self, volume: Volume, name: str) -> CopyRow:
        known = self._records.copy(volume.path, name)
        holders = self._records.holders(volume.path, name)
        return CopyRow(name, None if known is None else known.created_at_s, holders)

    def _known(self, volume: Volume, name: str, tree: SnapshotTree) -> CopyRecord:
        """What is remembered of an open copy, or can be told by its top, whose
        own change is no later than the beginning of the copy.
        """
        known = self._records.copy(volume.path, name)
        if known is None:
            moment_s = tree.origin(tree.root.stat()).ctime_ns // 1_000_000_000
            known = copy_record(volume.path, name, moment_s)
        return known

    def _free_name(self, volume: Volume, method: SnapshotMethod) -> tuple[str, FileLock]:
        """The first name for a backup's copy that nobody uses, and its lock. A
        name that is locked for later stays taken even if its copy is out of
        reach: whoever has locked it must never be given another's.
        """
        for number in itertools.count():
            name = f"{_FOR_BACKUP}{number}"
            with contextlib.ExitStack() as undo:
                lock = _lock(volume, name)
                if lock is None:
                    continue
                undo.callback(lock.release)
                is_there = name in method.names(volume.snapshots)
                if not is_there and not self._records.lasting(volume.path, name):
                    undo.pop_all()
                    return name, lock
        raise AssertionError("numbers end")

    def _remove_locked(self, volume: Volume, name: str, holder: str) -> None:
        lock = _lock(volume, name)
        if lock is None:
            raise self._in_use(volume, name)
        try:
            _method_of(volume).delete(volume.snapshots, name)
            self._records.forget_copy(volume.path, name)
        finally:
            lock.release()
        self._tell("volumes.snapshot-deleted", volume.path, name, holder)

    def _in_use(self, volume: Volume, name: str) -> TapekitError:
        holders = ", ".join(self._records.holders(volume.path, name)) or "another command"
        return CATALOGUE.error("copy-in-use", volume=volume.path, name=name, holders=holders)

    @contextlib.contextmanager
    def _alone(self, volume: Volume, name: str) -> Iterator[None]:
        """Hold the lock of a copy alone.

        :raises TapekitError: somebody else has it.
        """
        has_lasting = bool(self._records.lasting(volume.path, name))
        lock = None if has_lasting else _lock(volume, name)
        if lock is None:
            raise self._in_use(volume, name)
        try:
            self._records.remove_all(volume.path, name)
            yield
        finally:
            lock.release()

    def _end_of_backup(
        self,
        volume: Volume,
        method: SnapshotMethod,
        name: str,
        key: str,
        lock: FileLock,
        holder: str,
    ) -> None:
        """Remove the copy of a backup, unless a lasting lock keeps it. What
        cannot be removed keeps its record, so that the next start tries again;
        the backup is not to blame.
        """
        try:
            if self._records.lasting(volume.path, name):
                self._records.remove(key)
                return
            method.delete(volume.snapshots, name)
            self._records.forget_copy(volume.path, name)
            self._records.remove(key)
        except TapekitError as error:
            _LOG.error("%s", error.advice)
            self._tell("volumes.snapshot-not-deleted", volume.path, name, holder)
        else:
            self._tell("volumes.snapshot-deleted", volume.path, name, holder)
        finally:
            lock.release()

    def _forget(self, key: str) -> None:
        """Forget a holder; a record too many only looks wrong in a listing,
        and the next start removes it.
        """
        try:
            self._records.remove(key)
        except TapekitError as error:
            _LOG.warning("%s", error.advice)

    def _tell(self, what: str, volume: str, name: str, holder: str) -> None:
        facts = {"volume": volume, "snapshot": name, "holder": holder}
        self._announce(Event(name=what, facts=facts, time_s=self._clock()))


def _lock(volume: Volume, name: str, *, shared: bool = False) -> FileLock | None:
    """Try to lock a copy, whose folders are made if need be. Nobody else may
    enter them: a copy has the modes of all in the volume, but not of what is
    above it.
    """
    path = lock_path(volume.snapshots, name)
    try:
        volume.snapshots.mkdir(mode=0o700, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return FileLock.attempt(path, shared=shared)
    except OSError as error:
        raise CATALOGUE.error(
            "snapshot-folder-not-usable",
            volume=volume.path,
            folder=volume.snapshots,
            reason=error.strerror,
        ) from error


def _method_of(volume: Volume) -> SnapshotMethod:
    if volume.method is None:
        raise CATALOGUE.error("volume-without-copies", volume=volume.path)
    return volume.method


def _require_room(volume: Volume, method: SnapshotMethod) -> None:
    """Refuse one more copy than a volume may have.

    :raises TapekitError: it has as many as it may.
    """
    if len(method.names(volume.snapshots)) >= _MOST_COPIES:
        raise CATALOGUE.error("failed-to-create-snapshot", volume=volume.path, limit=_MOST_COPIES)


def _new_copy(moment_s: int, stands_for: tuple[str, int] | None = None) -> CopyRecord:
    identifier, created_at_s = stands_for or (str(uuid.uuid4()), moment_s)
    return CopyRecord(begun_at_s=moment_s, created_at_s=created_at_s, identifier=identifier)


def _record(
    volume: Volume, method: SnapshotMethod, name: str, holder: str, *, temporary: bool
) -> LockRecord:
    return LockRecord(
        volume=volume.path,
        snapshot=name,
        holder=holder,
        temporary=temporary,
        method=method.name,
        folder=str(volume.snapshots),
    )

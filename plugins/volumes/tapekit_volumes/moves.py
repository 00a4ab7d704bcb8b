"""Moves volumes between aggregates, for whoever brings their content.

A volume that is to move gets a directory in the other aggregate, which is a
restricted data protection volume under a name of its own until the volume's
record leads there. The one rule: the record changes only while nobody uses
the volume, and after both directories have been walked side by side.
"""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import for_ever
from tapekit.hookspecs.volume_images import VolumeState, VolumeStyle, VolumeType
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.images import flush
from tapekit_volumes.leftovers import removing_leftovers
from tapekit_volumes.lock_records import LockRecords
from tapekit_volumes.paths import is_volume_name
from tapekit_volumes.places import Place, PlaceRecord, Places, incoming_name
from tapekit_volumes.present import present_table
from tapekit_volumes.states import forget_memory
from tapekit_volumes.table import require_apart
from tapekit_volumes.tree_comparison import MountedInside, TreesDiffer, walk_trees
from tapekit_volumes.volume_lock import unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from pathlib import Path

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.storage import KeepGoing
    from tapekit.hookspecs.volume_moves import TreeFingerprint
    from tapekit_volumes.settings import VolumesSettings
    from tapekit_volumes.snapshots import SnapshotKeeper
    from tapekit_volumes.states import VolumeStates
    from tapekit_volumes.table import Volume

__all__ = ["VolumeMoves", "finishing_moves"]

_LOG: Final = logging.getLogger("tapekit.volumes")


@asynccontextmanager
async def finishing_moves(kernel: Kernel, moves: VolumeMoves) -> AsyncIterator[None]:
    """A context that is entered once moves that a crash has cut, and other
    leftovers, are no more.
    """
    await trio.to_thread.run_sync(moves.resume)
    async with removing_leftovers(kernel):
        yield


@final
class VolumeMoves:
    """The moves of a stack's volumes; calls block."""

    def __init__(
        self,
        kernel: Kernel,
        keeper: SnapshotKeeper,
        states: VolumeStates,
        volumes: Callable[[], Mapping[str, Volume]],
        settings: VolumesSettings,
    ) -> None:
        """:param volumes: tells all volumes as they are now."""
        self._kernel: Final = kernel
        self._keeper: Final = keeper
        self._states: Final = states
        self._volumes: Final = volumes
        self._rows: Final = settings.volume
        self._aggregates: Final = {each.name: each for each in settings.aggregate}
        self._places: Final = Places(kernel.state)
        self._records: Final = LockRecords(kernel.state)
        self.incoming: Mapping[str, Volume] = {}
        """What is to become volumes, by their own names."""

    def judge(self) -> None:
        """Tell what is wrong with the volumes of the stack file. What is
        remembered is read only if the stack file alone is not right, as when
        the disk is gone that a volume has left.

        :raises TapekitError: the first thing that is wrong.
        """
        try:
            present_table(self._rows, self._kernel, {})
        except TapekitError:
            records = self._places.every()
            if not records:
                raise
            present_table(self._rows, self._kernel, records)

    def locate(self) -> Mapping[str, Volume]:
        """All volumes where they are now, by path; finds what has begun to
        arrive, too.

        :raises TapekitError: what is remembered cannot be read, or a place is
            not there.
        """
        records = self._places.every()
        volumes = present_table(self._rows, self._kernel, records)
        for volume, record in _known(volumes, records):
            if record.incoming is not None:
                self._add(_incoming(volume, record.incoming))
        return volumes

    def resume(self) -> None:
        """Finish what a crash has left of moves; for the one process that serves
        the stack.

        :raises TapekitError: what is remembered cannot be read or written.
        """
        for volume, record in _known(self._volumes(), self._places.every()):
            if not record.is_settled:
                self._settle(volume, record)

    # Room.

    def make_room(self, volume: Volume, aggregate: str) -> str:
        """Make room for a volume, or find it.

        :raises TapekitError: the volume cannot move there.
        """
        folder = self._folder(volume, aggregate)
        self._require_movable(volume)
        record = self._record(volume)
        if record.incoming is None:
            return self._made(volume, record, folder, aggregate)
        if record.incoming.aggregate != aggregate:
            raise CATALOGUE.error(
                "volume-moves-elsewhere", volume=volume.path, aggregate=record.incoming.aggregate
            )
        return incoming_name(volume.path)

    def give_up_room(self, volume: Volume) -> str | None:
        """Forget the room that was made for a volume.

        :raises TapekitError: the state cannot be written.
        """
        record = self._record(volume)
        if record.incoming is None:
            return None
        arriving = _incoming(volume, record.incoming)
        self._records.forget_volume(arriving.path)
        self._states.forget(arriving)
        self._places.write(volume.path, msgspec.structs.replace(record, incoming=None))
        self._drop(arriving.path)
        return record.incoming.directory

    def _folder(self, volume: Volume, aggregate: str) -> Path:
        """Where the directories of volumes are in an aggregate.

        :raises TapekitError: it takes none, or not this one.
        """
        row = self._aggregates.get(aggregate)
        if row is None or row.path is None:
            able = [each.name for each in self._aggregates.values() if each.path is not None]
            raise CATALOGUE.error(
                "aggregate-takes-no-volumes",
                aggregate=aggregate,
                known=", ".join(able) or "none",
            )
        if row.node not in {"", self._kernel.node_name}:
            raise CATALOGUE.error("aggregate-of-other-node", aggregate=aggregate, node=row.node)
        if volume.aggregate == aggregate:
            raise CATALOGUE.error("volume-in-aggregate", volume=volume.path, aggregate=aggregate)
        return self._kernel.base_directory / row.path

    def _require_movable(self, volume: Volume) -> None:
        """:raises TapekitError: a volume cannot move at all, or not as it is."""
        name = incoming_name(volume.path)
        if name in self._volumes() or not is_volume_name(name):
            raise CATALOGUE.error("no-name-for-move", volume=volume.path, name=name)
        if volume.style is VolumeStyle.FLEXGROUP:
            raise CATALOGUE.error("volume-is-flexgroup", volume=volume.path)
        if volume.method is None:
            raise CATALOGUE.error("volume-without-copies", volume=volume.path)
        self._states.check(volume)
        if self._states.facts(volume).type is VolumeType.DP:
            raise CATALOGUE.error("protected-volume-stays", volume=volume.path)

    def _made(self, volume: Volume, record: PlaceRecord, folder: Path, aggregate: str) -> str:
        svm, name = volume.path.strip("/").split("/")
        try:
            # The file system of an aggregate is mounted, or nothing moves there.
            above = folder.resolve(strict=True) / svm
            directory, snapshots = above / name, above / f"{name}.snapshots"
            for each in (directory, snapshots):
                each.mkdir(parents=True, exist_ok=True)
                if any(each.iterdir()):
                    raise CATALOGUE.error("room-not-empty", volume=volume.path, directory=each)
                # Nobody looks in before the image has told who may.
                each.chmod(0o700)
        except OSError as error:
            raise CATALOGUE.error(
                "room-not-made", volume=volume.path, folder=folder, reason=error.strerror
            ) from error
        place = Place(directory=str(directory), snapshots=str(snapshots), aggregate=aggregate)
        arriving = _incoming(volume, place)
        require_apart([*self._volumes().values(), *self.incoming.values(), arriving])
        self._places.write(volume.path, msgspec.structs.replace(record, incoming=place))
        self._add(arriving)
        self._states.change(arriving, VolumeState.RESTRICTED)
        return arriving.path

    # The move itself.

    def fingerprint(self, volume: Volume, keep_going: KeepGoing) -> TreeFingerprint:
        """Walk a volume.

        :raises TapekitError: it cannot be walked, or not moved as it is.
        """
        return self._walked(volume, None, keep_going)

    def move_in(self, volume: Volume, unchanged: TreeFingerprint, keep_going: KeepGoing) -> Volume:
        """Let a volume's name lead to what has arrived.

        :returns: the volume in its new place.
        :raises TapekitError: it stays where it is.
        """
        record = self._record(volume)
        place = record.incoming
        if place is None:
            raise CATALOGUE.error("nothing-arrived", volume=volume.path)
        arrived = _incoming(volume, place)
        with self._states.alone(volume), self._states.alone(arrived):
            self._require_whole(volume, arrived)
            flush(arrived, arrived.directory)
            self._require_same(volume, arrived, unchanged, keep_going)
            moved = PlaceRecord(
                configured=volume.configured,
                current=place,
                moves=record.moves + 1,
                is_settled=False,
            )
            self._places.write(volume.path, moved)
            present = _at(volume, place, moves=moved.moves)
            try:
                self._settle(present, moved)
            except TapekitError as error:
                # The volume has moved; the next start does the rest.
                _LOG.error("%s: %s", volume.path, error.advice)
        self._drop(arrived.path)
        return present

    def is_unchanged(self, directory: Path, unchanged: TreeFingerprint) -> bool:
        """Whether a directory that was left is what it was."""
        try:
            return walk_trees(directory, None, for_ever) == unchanged
        except (OSError, MountedInside) as error:
            _LOG.warning("%s: %s", directory, error)
            return False

    def _require_whole(self, volume: Volume, arrived: Volume) -> None:
        """:raises TapekitError: not all has arrived, or a lock would be lost."""
        here = self._keeper.copies(arrived)
        if not here or not self._states.facts(arrived).is_whole:
            raise CATALOGUE.error("nothing-arrived", volume=volume.path)
        missing = {each.identifier for each in self._keeper.copies(volume)} - {
            each.identifier for each in here
        }
        if missing:
            raise CATALOGUE.error("volume-changed", volume=volume.path, directory=volume.directory)
        names = {each.name for each in here}
        for held in self._records.lasting_of_volume(volume.path):
            if held.snapshot not in names:
                raise CATALOGUE.error(
                    "copy-locked-here",
                    volume=volume.path,
                    name=held.snapshot,
                    holder=held.holder,
                )

    def _require_same(
        self,
        volume: Volume,
        arrived: Volume,
        unchanged: TreeFingerprint,
        keep_going: KeepGoing,
    ) -> None:
        """:raises TapekitError: somebody has changed the volume, or what arrived
        is not what was sent.
        """
        try:
            seen = self._walked(volume, arrived, keep_going)
        except TapekitError:
            # The new place is to blame only if nobody writes to the old one.
            seen = self._walked(volume, None, keep_going)
            if seen == unchanged:
                raise
        if seen != unchanged:
            raise CATALOGUE.error("volume-changed", volume=volume.path, directory=volume.directory)

    def _walked(self, volume: Volume, arrived: Volume | None, keep_going: KeepGoing) -> bytes:
        """The fingerprint of a volume.

        :raises TapekitError: what has arrived is not the same, or one of the
            two cannot be walked.
        """
        try:
            # What programs have written to mapped files gets its time now.
            flush(volume, volume.directory)
            other = None if arrived is None else arrived.directory
            return walk_trees(volume.directory, other, keep_going)
        except TreesDiffer as error:
            raise CATALOGUE.error(
                "arrival-differs", volume=volume.path, path=error.path, difference=error.what
            ) from error
        except MountedInside as error:
            raise CATALOGUE.error(
                "mounted-in-volume", volume=volume.path, path=error.path
            ) from error
        except OSError as error:
            raise unreachable(volume.path, error) from error

    def _settle(self, volume: Volume, record: PlaceRecord) -> None:
        """Have what is known of a volume be that of its new place.

        :raises TapekitError: the state cannot be written.
        """
        arrived = volume._replace(path=incoming_name(volume.path))
        self._records.move(arrived.path, volume.path, volume.snapshots)
        self._states.forget(arrived)
        forget_memory(volume)
        self._places.write(volume.path, msgspec.structs.replace(record, is_settled=True))

    def _record(self, volume: Volume) -> PlaceRecord:
        record = self._places.find(volume.path)
        if record is None:
            return PlaceRecord(configured=volume.configured)
        if record.configured != volume.configured:
            return PlaceRecord(configured=volume.configured, moves=record.moves)
        return record

    def _add(self, arriving: Volume) -> None:
        self.incoming = {**self.incoming, arriving.path: arriving}

    def _drop(self, name: str) -> None:
        self.incoming = {path: each for path, each in self.incoming.items() if path != name}


def _known(
    volumes: Mapping[str, Volume], records: Mapping[str, PlaceRecord]
) -> Iterator[tuple[Volume, PlaceRecord]]:
    """The volumes of which there are records that the stack file agrees with."""
    for path, record in records.items():
        volume = volumes.get(path)
        if volume is not None and volume.configured == record.configured:
            yield volume, record


def _at(volume: Volume, place: Place, *, moves: int = 0) -> Volume:
    """A volume in another place."""
    directory = type(volume.directory)(place.directory)
    snapshots = type(volume.snapshots)(place.snapshots)
    return volume._replace(
        directory=directory,
        snapshots=snapshots,
        aggregate=place.aggregate,
        is_mount_point=False,
        traits=msgspec.structs.replace(volume.traits, moves=moves),
    )


def _incoming(volume: Volume, place: Place) -> Volume:
    """What is to become a volume."""
    return _at(volume, place)._replace(
        path=incoming_name(volume.path), type=VolumeType.DP, read_only=False, junctions={}
    )

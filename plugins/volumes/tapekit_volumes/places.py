"""Where volumes are that have moved, or are to move.

The stack file says where a volume is at first. Once it has moved, a record
in the stack's state says so, as long as the stack file still tells the
directory that the record knows; who corrects the stack file is believed. The
one rule: a volume moves by the change of its one record, and what else there
is to change can be done again after a crash.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, final

import msgspec

from tapekit_volumes.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tapekit.hookspecs.state import StateStore
    from tapekit_volumes.settings import VolumeSettings
    from tapekit_volumes.table import Volume

__all__ = ["Place", "PlaceRecord", "Places", "configured", "incoming_name", "placed"]

_NAMESPACE: Final = "volumes.places"
_INCOMING: Final = ".incoming"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a volume is."""

    directory: str
    """Absolute, without symbolic links; likewise the folder of its copies."""
    snapshots: str
    aggregate: str


class PlaceRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one volume."""

    configured: str
    """The directory that the stack file gave it then, absolute."""
    current: Place | None = None
    """Where it is; ``None`` where the stack file says."""
    incoming: Place | None = None
    """Where it is to be."""
    moves: int = 0
    """How often it has moved, whatever the stack file has told since; see
    :attr:`tapekit.hookspecs.storage.TreeTraits.moves`."""
    is_settled: bool = True
    """Whether what is known of its Snapshot copies is that of its place."""

    @property
    def is_nothing(self) -> bool:
        """Whether it says no more than the stack file does."""
        return self.current is None and self.incoming is None and not self.moves


@final
class Places:
    """All records; calls block for a flush of the disk."""

    def __init__(self, state: StateStore) -> None:
        self._state: Final = state

    def every(self) -> Mapping[str, PlaceRecord]:
        """The records by volume.

        :raises TapekitError: one cannot be read.
        """
        return {name: _decoded(name, value) for name, value in self._items().items()}

    def find(self, volume: str) -> PlaceRecord | None:
        """The record of a volume.

        :raises TapekitError: it cannot be read.
        """
        value = self._state.get(_NAMESPACE, volume)
        return None if value is None else _decoded(volume, value)

    def write(self, volume: str, record: PlaceRecord) -> None:
        """Remember where a volume is.

        :raises TapekitError: the state cannot be written.
        """
        value = None if record.is_nothing else msgspec.json.encode(record)
        self._state.change(_NAMESPACE, {volume: value})

    def is_present(self, volume: Volume) -> bool:
        """Whether a volume is still where this process has found it.

        :raises TapekitError: its record cannot be read.
        """
        record = self.find(volume.path)
        if record is None or record.current is None or record.configured != volume.configured:
            return True
        return record.current.directory == str(volume.directory)

    def _items(self) -> Mapping[str, bytes]:
        return self._state.items(_NAMESPACE)


def incoming_name(volume: str) -> str:
    """The name of what is to become a volume, which is a data protection
    volume until then.
    """
    return volume + _INCOMING


def configured(row: VolumeSettings, base: Path) -> str:
    """The directory that the stack file gives a volume, which may not be there."""
    return os.path.normpath(base / row.directory)


def placed(
    rows: Iterable[VolumeSettings], base: Path, records: Mapping[str, PlaceRecord]
) -> Sequence[VolumeSettings]:
    """The rows of the stack file, with the present places of volumes that have
    moved.
    """
    return [_placed(row, base, records.get(row.path)) for row in rows]


def _placed(row: VolumeSettings, base: Path, record: PlaceRecord | None) -> VolumeSettings:
    if record is None or record.current is None or record.configured != configured(row, base):
        return row
    return msgspec.structs.replace(
        row,
        directory=Path(record.current.directory),
        snapshot_directory=Path(record.current.snapshots),
        aggregate=record.current.aggregate,
    )


def _decoded(volume: str, value: bytes) -> PlaceRecord:
    try:
        return msgspec.json.decode(value, type=PlaceRecord)
    except msgspec.DecodeError as error:
        raise CATALOGUE.error("state-not-understood", volume=volume, reason=error) from error

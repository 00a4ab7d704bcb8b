"""The table of volumes, checked as a whole.

Settings become volumes with real directories, and everything that two of
them could do to each other is refused: names that come twice, directories
inside one another, Snapshot copies inside a volume, which would be backed up
and copied again. The one rule: nothing is made here.
"""

from __future__ import annotations

import itertools
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import TreeTraits
from tapekit.hookspecs.volume_images import VolumeStyle, VolumeType
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.paths import is_volume_name, parse_path
from tapekit_volumes.settings import DEFAULT_AGGREGATE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from tapekit.hookspecs.storage import SnapshotMethod
    from tapekit_volumes.settings import VolumeSettings

__all__ = ["LIVE", "Volume", "require_apart", "volume_table"]

LIVE: Final = "none"
"""The setting ``snapshots`` of a volume that is backed up without a copy."""

_PERMISSIONS: Final = re.compile(r"0?[0-7]{3}")
_MOST_SECTORS: Final = 2**31 - 1


class Volume(NamedTuple):
    """One volume of the stack."""

    path: str
    """``/vserver/volume``."""
    directory: Path
    """Absolute, without symbolic links."""
    method: SnapshotMethod | None
    """What makes its Snapshot copies; ``None`` reads the volume itself."""
    snapshots: Path
    """The folder for its Snapshot copies, absolute."""
    read_only: bool
    is_mount_point: bool
    """Whether another file system than its parent's was here at the start."""
    type: VolumeType = VolumeType.RW
    """By the stack file; it may have changed since."""
    style: VolumeStyle = VolumeStyle.FLEXVOL
    traits: TreeTraits = TreeTraits()
    """What it is besides a directory, without what changes while it is used."""
    junctions: Mapping[tuple[bytes, ...], str] = MappingProxyType({})
    """Where other volumes are mounted in it, by paths below its top."""
    aggregate: str = DEFAULT_AGGREGATE
    """Where it is now."""
    configured: str = ""
    """The directory that the stack file tells, where it may have moved from."""


class _Place(NamedTuple):
    """A folder that the table uses."""

    folder: Path
    use: str


def volume_table(
    rows: Sequence[VolumeSettings], base: Path, methods: Mapping[str, SnapshotMethod]
) -> Mapping[str, Volume]:
    """The volumes by path, in the order of the settings.

    :param base: where relative directories start.
    :raises TapekitError: the first thing that is wrong.
    """
    table: dict[str, Volume] = {}
    for row in rows:
        if not is_volume_name(row.path):
            raise CATALOGUE.error("bad-volume-name", path=row.path)
        if row.path in table:
            raise CATALOGUE.error("volume-twice", path=row.path)
        table[row.path] = _volume(row, base, methods)
    require_apart(table.values())
    return _with_junctions(table, rows)


def require_apart(volumes: Collection[Volume]) -> None:
    """Refuse volumes of which one is in, or the same as, another one.

    :raises TapekitError: the first two.
    """
    _refuse_overlaps(_places(volumes))
    _refuse_same_directories(volumes)


def _volume(row: VolumeSettings, base: Path, methods: Mapping[str, SnapshotMethod]) -> Volume:
    directory = _directory(row, base)
    snapshots = row.snapshot_directory or directory.with_name(f"{directory.name}.snapshots")
    return Volume(
        path=row.path,
        directory=directory,
        method=_method(row, methods),
        snapshots=(base / snapshots).resolve(),
        read_only=row.read_only,
        is_mount_point=directory.is_mount(),
        type=row.type,
        style=row.style,
        traits=_traits(row),
        aggregate=row.aggregate,
    )


def _traits(row: VolumeSettings) -> TreeTraits:
    if not _PERMISSIONS.fullmatch(row.unix_permissions):
        raise CATALOGUE.error("bad-permissions", volume=row.path, permissions=row.unix_permissions)
    if not 0 <= row.vm_align_sectors <= _MOST_SECTORS:
        raise CATALOGUE.error(
            "bad-alignment", volume=row.path, sectors=row.vm_align_sectors, most=_MOST_SECTORS
        )
    return TreeTraits(
        security_style=row.security_style,
        unix_permissions=int(row.unix_permissions, 8),
        snaplock=row.snaplock,
        vm_align_sectors=row.vm_align_sectors,
    )


def _with_junctions(
    table: Mapping[str, Volume], rows: Sequence[VolumeSettings]
) -> Mapping[str, Volume]:
    """The table, with what is mounted in each volume."""
    mounted: dict[str, dict[tuple[bytes, ...], str]] = {}
    for row in rows:
        if row.junction_path is not None:
            above, parts = _junction(row, row.junction_path, table)
            first = mounted.setdefault(above, {}).setdefault(parts, row.path)
            if first != row.path:
                raise CATALOGUE.error(
                    "junction-twice", path=row.junction_path, first=first, second=row.path
                )
    return {
        path: volume._replace(junctions=mounted.get(path, volume.junctions))
        for path, volume in table.items()
    }


def _junction(
    row: VolumeSettings, path: str, table: Mapping[str, Volume]
) -> tuple[str, tuple[bytes, ...]]:
    """The volume in which another is mounted, and where in it.

    :raises TapekitError: it cannot be mounted there.
    """
    try:
        at = parse_path(path)
    except TapekitError as error:
        raise CATALOGUE.error(
            "bad-junction", volume=row.path, path=path, reason=str(error)
        ) from error
    if not at.parts or at.snapshot is not None:
        reason = "it is no path below a volume"
    elif at.volume not in table or at.volume == row.path:
        reason = f"{at.volume} is no other volume"
    elif at.volume.split("/")[1] != row.path.split("/")[1]:
        reason = "the volume belongs to another storage virtual machine"
    else:
        return at.volume, at.parts
    raise CATALOGUE.error("bad-junction", volume=row.path, path=path, reason=reason)


def _directory(row: VolumeSettings, base: Path) -> Path:
    configured = base / row.directory
    try:
        directory = configured.resolve(strict=True)
    except OSError as error:
        raise CATALOGUE.error(
            "directory-missing", volume=row.path, directory=configured, reason=error.strerror
        ) from error
    if not directory.is_dir():
        raise CATALOGUE.error("not-a-directory", volume=row.path, directory=configured)
    return directory


def _method(row: VolumeSettings, methods: Mapping[str, SnapshotMethod]) -> SnapshotMethod | None:
    if row.snapshots == LIVE:
        return None
    if row.snapshots not in methods:
        known = ", ".join(f'"{name}"' for name in (*methods, LIVE))
        raise CATALOGUE.error("no-such-method", volume=row.path, method=row.snapshots, known=known)
    return methods[row.snapshots]


def _places(volumes: Iterable[Volume]) -> Iterator[_Place]:
    for volume in volumes:
        yield _Place(volume.directory, f"the directory of {volume.path}")
        if volume.method is not None:
            yield _Place(volume.snapshots, f"the folder for Snapshot copies of {volume.path}")


def _refuse_overlaps(places: Iterable[_Place]) -> None:
    # In the order of their parts a folder stands right before the first one
    # that is inside it.
    ordered = sorted(places, key=lambda place: place.folder.parts)
    for outer, inner in itertools.pairwise(ordered):
        if inner.folder.is_relative_to(outer.folder):
            raise CATALOGUE.error(
                "directories-overlap",
                inner_use=inner.use,
                inner=inner.folder,
                outer_use=outer.use,
                outer=outer.folder,
            )


def _refuse_same_directories(volumes: Iterable[Volume]) -> None:
    """Refuse one directory under two names, as bind mounts make them."""
    seen: dict[tuple[int, int], Volume] = {}
    for volume in volumes:
        status = volume.directory.stat()
        first = seen.setdefault((status.st_dev, status.st_ino), volume)
        if first is not volume:
            raise CATALOGUE.error(
                "directory-twice",
                first=first.path,
                first_directory=first.directory,
                second=volume.path,
                second_directory=volume.directory,
            )

"""``tapekit volume``: the volumes of a stack and their Snapshot copies.

The commands work beside a running server: what a backup holds is locked.
Everything is listed as a table for people and as JSON for programs, from
the same rows.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit_volumes.file_commands import file_apps
from tapekit_volumes.qtree_commands import qtree_app
from tapekit_volumes.snapshots import ADMINISTRATOR
from tapekit_volumes.state_commands import add_state_commands
from tapekit_volumes.table import LIVE

if TYPE_CHECKING:
    from tapekit.hookspecs.storage import FilesystemInfo
    from tapekit_volumes.storage import VolumeStorage

__all__ = ["CopyListing", "IdentifiedListing", "VolumeListing", "volume_app"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Volume = Annotated[str, typer.Argument(metavar="VOLUME", help="As /vserver/volume.")]
_Copy = Annotated[str, typer.Argument(metavar="NAME", help="Name of the Snapshot copy.")]


class VolumeListing(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as ``tapekit volume list --json`` shows it."""

    path: str
    directory: str
    snapshots: str
    """The Snapshot method, or ``none``."""
    writable: bool
    total_bytes: int
    used_bytes: int
    status: str


class CopyListing(msgspec.Struct, frozen=True, kw_only=True):
    """A Snapshot copy as ``tapekit volume snapshot list --json`` shows it."""

    name: str
    taken_at: dt.datetime | None
    """The time that its data stands for, in UTC, if anybody remembers."""
    holders: tuple[str, ...]


class IdentifiedListing(msgspec.Struct, frozen=True, kw_only=True):
    """A Snapshot copy as ``tapekit volume snapshot show --json`` shows it."""

    name: str
    identifier: str
    """Of this copy and of those that are restored from images of it."""
    created_at: dt.datetime
    """The time that its data stands for, in UTC."""
    holders: tuple[str, ...]


def volume_app(storage: VolumeStorage) -> typer.Typer:
    """The commands of the group ``volume``."""
    commands = _Commands(storage)
    app = typer.Typer(no_args_is_help=True, help="Volumes and their Snapshot copies.")
    app.command("list")(commands.list_volumes)
    add_state_commands(app, storage)
    snapshot = typer.Typer(no_args_is_help=True, help="Snapshot copies of a volume.")
    snapshot.command("list")(commands.list_copies)
    snapshot.command("show")(commands.show_copies)
    snapshot.command("create")(commands.create_copy)
    snapshot.command("delete")(commands.delete_copy)
    app.add_typer(snapshot, name="snapshot")
    app.add_typer(qtree_app(storage), name="qtree")
    for name, group in file_apps(storage).items():
        app.add_typer(group, name=name)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, storage: VolumeStorage) -> None:
        self._storage: Final = storage

    def list_volumes(self, json: _AsJson = False) -> None:
        """List the volumes, in the order of the stack file."""
        rows = [self._listing(info) for info in self._storage.filesystems()]
        if json:
            say_json(rows)
            return
        say_table(
            ("VOLUME", "DIRECTORY", "SNAPSHOTS", "ACCESS", "SIZE", "USED", "STATUS"),
            (
                (
                    row.path,
                    row.directory,
                    row.snapshots,
                    "read-write" if row.writable else "read-only",
                    _in_units(row.total_bytes),
                    _in_units(row.used_bytes),
                    row.status,
                )
                for row in rows
            ),
        )

    def list_copies(self, volume: _Volume, json: _AsJson = False) -> None:
        """List the Snapshot copies of a volume, oldest first, and who holds them."""
        rows = [
            CopyListing(
                name=row.name,
                taken_at=None if row.taken_at_s is None else _moment(row.taken_at_s),
                holders=row.holders,
            )
            for row in self._storage.keeper.rows(self._storage.volume(volume))
        ]
        if json:
            say_json(rows)
            return
        say_table(
            ("NAME", "TAKEN AT", "HELD BY"),
            (
                (
                    row.name,
                    "" if row.taken_at is None else f"{row.taken_at:%Y-%m-%d %H:%M:%S} UTC",
                    ", ".join(row.holders),
                )
                for row in rows
            ),
        )

    def show_copies(self, volume: _Volume, json: _AsJson = False) -> None:
        """Show the Snapshot copies of a volume with their identifiers, oldest
        first; those that backups have made for themselves are left out.
        """
        rows = [
            IdentifiedListing(
                name=copy.name,
                identifier=copy.identifier,
                created_at=_moment(copy.created_at_s),
                holders=copy.holders,
            )
            for copy in self._storage.snapshot_copies(volume)
        ]
        if json:
            say_json(rows)
            return
        say_table(
            ("NAME", "IDENTIFIER", "CREATED AT", "HELD BY"),
            (
                (
                    row.name,
                    row.identifier,
                    f"{row.created_at:%Y-%m-%d %H:%M:%S} UTC",
                    ", ".join(row.holders),
                )
                for row in rows
            ),
        )

    def create_copy(self, volume: _Volume, name: _Copy) -> None:
        """Make a Snapshot copy that stays until it is deleted."""
        self._storage.create_snapshot(volume, name, ADMINISTRATOR)
        say(f"made {name}: back it up as {volume}/.snapshot/{name}")

    def delete_copy(self, volume: _Volume, name: _Copy) -> None:
        """Delete a Snapshot copy that nobody holds."""
        self._storage.delete_snapshot(volume, name, ADMINISTRATOR)
        say(f"deleted {name}")

    def _listing(self, info: FilesystemInfo) -> VolumeListing:
        volume = self._storage.volume(info.path)
        return VolumeListing(
            path=volume.path,
            directory=str(volume.directory),
            snapshots=LIVE if volume.method is None else volume.method.name,
            writable=info.writable,
            total_bytes=info.total_bytes,
            used_bytes=info.used_bytes,
            status=info.status,
        )


def _moment(seconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _in_units(size: int) -> str:
    """Bytes as people read them, such as ``3.7 GiB``."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{size} bytes" if units[0] == "bytes" else f"{value:.1f} {units[0]}"

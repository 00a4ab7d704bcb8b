"""``tapekit volume lun``, ``file`` and ``snaplock``: files that are more.

A file is named by its path below the volume's top. What is made of it
stands in its marks, but for what keeps it out of backups, which the stack's
state remembers.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import secrets
from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.marks import LunMark
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.marked_files import MarkedFiles
from tapekit_volumes.paths import parse_path
from tapekit_volumes.withheld import INCONSISTENT, RESTRICTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tapekit_volumes.storage import VolumeStorage

__all__ = ["LunListing", "RestrictedListing", "RetentionListing", "file_apps"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Volume = Annotated[str, typer.Argument(metavar="VOLUME", help="As /vserver/volume.")]
_Path = Annotated[str, typer.Argument(metavar="PATH", help="Of the file, below the volume.")]
_Serial = Annotated[str, typer.Option("--serial", help="Its serial number; else a new one.")]
_OsType = Annotated[str, typer.Option("--os-type", help="What the LUN is for.")]
_Online = Annotated[bool | None, typer.Option("--online/--offline", help="Whether hosts see it.")]
_Mapped = Annotated[
    bool | None, typer.Option("--mapped/--unmapped", help="Whether it is mapped to hosts.")
]
_Consistent = Annotated[
    bool | None,
    typer.Option("--consistent/--inconsistent", help="Whether backups may have it."),
]
_Until = Annotated[
    str, typer.Option("--until", metavar="TIME", help="End of its retention, in UTC.")
]


class LunListing(msgspec.Struct, frozen=True, kw_only=True):
    """A LUN as ``tapekit volume lun show --json`` tells it."""

    path: str
    serial: str
    os_type: str
    online: bool
    mapped: bool
    consistent: bool


class RestrictedListing(msgspec.Struct, frozen=True, kw_only=True):
    """A file that no backup has, as ``tapekit volume file show --json`` tells it."""

    path: str
    reason: str


class RetentionListing(msgspec.Struct, frozen=True, kw_only=True):
    """A WORM file as ``tapekit volume snaplock show --json`` tells it."""

    path: str
    retained_until: dt.datetime


def file_apps(storage: VolumeStorage) -> dict[str, typer.Typer]:
    """The command groups ``lun``, ``file`` and ``snaplock`` of ``volume``."""
    lun = typer.Typer(no_args_is_help=True, help="LUNs: marked files at the top.")
    luns = _LunCommands(storage)
    lun.command("create")(luns.create)
    lun.command("show")(luns.show)
    lun.command("modify")(luns.modify)
    lun.command("delete")(luns.delete)
    file = typer.Typer(no_args_is_help=True, help="Files left out of backups, and aligned ones.")
    files = _FileCommands(storage)
    file.command("restrict")(files.restrict)
    file.command("release")(files.release)
    file.command("show")(files.show)
    file.command("align")(files.align)
    snaplock = typer.Typer(no_args_is_help=True, help="WORM files of SnapLock volumes.")
    worm = _WormCommands(storage)
    snaplock.command("commit")(worm.commit)
    snaplock.command("show")(worm.show)
    snaplock.command("release")(worm.release)
    return {"lun": lun, "file": file, "snaplock": snaplock}


@contextlib.contextmanager
def _files_of(
    storage: VolumeStorage, volume: str, *, writes: bool = False
) -> Iterator[MarkedFiles]:
    chosen = storage.volume(volume)
    with storage.top(chosen, writes=writes) as top:
        yield MarkedFiles(top, chosen, storage.marks)


def _parts(volume: str, path: str) -> tuple[bytes, ...]:
    return parse_path(f"{volume}/{path}").parts


@final
class _LunCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, storage: VolumeStorage) -> None:
        self._storage: Final = storage

    def create(
        self, volume: _Volume, path: _Path, serial: _Serial = "", os_type: _OsType = "linux"
    ) -> None:
        """Make a file that is there a LUN."""
        mark = LunMark(serial=serial or secrets.token_hex(6), os_type=os_type)
        with _files_of(self._storage, volume, writes=True) as files:
            files.set_lun(_parts(volume, path), mark)
        say(f"{path} is a LUN, serial number {mark.serial}")

    def show(self, volume: _Volume, json: _AsJson = False) -> None:
        """Show the LUNs of a volume."""
        with _files_of(self._storage, volume) as files:
            rows = [
                LunListing(
                    path=path.decode("utf-8", "backslashreplace"),
                    serial=mark.serial,
                    os_type=mark.os_type,
                    online=mark.is_online,
                    mapped=mark.is_mapped,
                    consistent=mark.is_consistent,
                )
                for path, mark in files.luns()
            ]
        if json:
            say_json(rows)
            return
        say_table(
            ("PATH", "SERIAL", "TYPE", "STATE", "MAPPED", "CONSISTENT"),
            (
                (
                    row.path,
                    row.serial,
                    row.os_type,
                    "online" if row.online else "offline",
                    "mapped" if row.mapped else "unmapped",
                    "yes" if row.consistent else "no",
                )
                for row in rows
            ),
        )

    def modify(
        self,
        volume: _Volume,
        path: _Path,
        online: _Online = None,
        mapped: _Mapped = None,
        consistent: _Consistent = None,
    ) -> None:
        """Change what is given of a LUN; backups leave an inconsistent one out."""
        parts = _parts(volume, path)
        changes = {"is_online": online, "is_mapped": mapped, "is_consistent": consistent}
        given = {name: value for name, value in changes.items() if value is not None}
        with _files_of(self._storage, volume, writes=True) as files:
            mark = msgspec.structs.replace(files.lun(parts), **given)
            if consistent is False:
                self._storage.withheld.withhold(volume, b"/".join(parts), INCONSISTENT)
            files.set_lun(parts, mark)
            if consistent is True:
                self._storage.withheld.release(volume, b"/".join(parts), INCONSISTENT)
        say(f"changed {path}")

    def delete(self, volume: _Volume, path: _Path) -> None:
        """Make a LUN an ordinary file; its content stays."""
        parts = _parts(volume, path)
        with _files_of(self._storage, volume, writes=True) as files:
            files.unset_lun(parts)
        self._storage.withheld.release(volume, b"/".join(parts), INCONSISTENT)
        say(f"{path} is a file")


@final
class _FileCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, storage: VolumeStorage) -> None:
        self._storage: Final = storage

    def restrict(self, volume: _Volume, path: _Path) -> None:
        """Leave a file or LUN out of backups, while clients are kept from it."""
        parts = _parts(volume, path)
        with _files_of(self._storage, volume) as files, files.opened(parts):
            self._storage.withheld.withhold(volume, b"/".join(parts), RESTRICTED)
        say(f"backups leave {path} out until it is released")

    def release(self, volume: _Volume, path: _Path) -> None:
        """Leave a file or LUN out no longer; the next backup has it."""
        self._storage.volume(volume)
        path_below = b"/".join(_parts(volume, path))
        if self._storage.withheld.release(volume, path_below, RESTRICTED):
            say(f"the next backup has {path}")
        else:
            say(f"{path} was not left out")

    def show(self, volume: _Volume, json: _AsJson = False) -> None:
        """Show what backups of a volume leave out."""
        self._storage.volume(volume)
        rows = [
            RestrictedListing(path=path.decode("utf-8", "backslashreplace"), reason=reason)
            for path, reason in sorted(self._storage.withheld.of_volume(volume).items())
        ]
        if json:
            say_json(rows)
        else:
            say_table(("PATH", "WHY IT IS LEFT OUT"), ((row.path, row.reason) for row in rows))

    def align(self, volume: _Volume, path: _Path) -> None:
        """Note that a file is laid out as the volume aligns files."""
        with _files_of(self._storage, volume, writes=True) as files:
            files.align(_parts(volume, path))
        say(f"{path} is aligned")


@final
class _WormCommands:
    """One method a command; the docstring is its help."""

    def __init__(self, storage: VolumeStorage) -> None:
        self._storage: Final = storage

    def commit(self, volume: _Volume, path: _Path, until: _Until) -> None:
        """Make a file unchangeable until a time, or prolong that."""
        until_s = self._time_to_come(until)
        with _files_of(self._storage, volume, writes=True) as files:
            files.commit(_parts(volume, path), until_s)
        say(f"{path} is retained until {_moment(until_s):%Y-%m-%d %H:%M:%S} UTC")

    def show(self, volume: _Volume, path: _Path, json: _AsJson = False) -> None:
        """Show until when a WORM file is retained."""
        with _files_of(self._storage, volume) as files:
            until_s = files.worm(_parts(volume, path)).retained_until_s
        row = RetentionListing(path=path, retained_until=_moment(until_s))
        if json:
            say_json(row)
        else:
            say(f"{path} is retained until {row.retained_until:%Y-%m-%d %H:%M:%S} UTC")

    def release(self, volume: _Volume, path: _Path) -> None:
        """Make a WORM file changeable after its time; on an enterprise volume also before."""
        with _files_of(self._storage, volume, writes=True) as files:
            files.let_go(_parts(volume, path), self._storage.keeper.now_s())
        say(f"{path} is a file like others")

    def _time_to_come(self, text: str) -> int:
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError as error:
            raise CATALOGUE.error("not-a-time", text=text) from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=dt.UTC)
        seconds = int(moment.timestamp())
        if seconds <= self._storage.keeper.now_s():
            raise CATALOGUE.error("not-a-time", text=text)
        return seconds


def _moment(seconds: int) -> dt.datetime:
    """A time for people; later than they are counted is the last."""
    return dt.datetime.fromtimestamp(min(seconds, 253_402_300_799), dt.UTC)

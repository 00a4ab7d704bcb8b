"""``tapekit volume qtree``: the qtrees of volumes.

What is shown is read from the marks in the volumes, what is changed is
written there; a running server takes either into account with its next job.
"""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.marks import QtreeMark, SecurityStyle
from tapekit_volumes.errors import CATALOGUE
from tapekit_volumes.qtrees import Qtrees

if TYPE_CHECKING:
    from tapekit_volumes.storage import VolumeStorage

__all__ = ["QtreeListing", "QtreeStatus", "qtree_app"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Volume = Annotated[str, typer.Argument(metavar="VOLUME", help="As /vserver/volume.")]
_AnyVolume = Annotated[str, typer.Argument(metavar="[VOLUME]", help="One volume; else all.")]
_Qtree = Annotated[str, typer.Argument(metavar="QTREE", help="Its name at the top of the volume.")]
_Style = Annotated[
    SecurityStyle | None, typer.Option("--security-style", help="Whose permissions count.")
]
_Oplocks = Annotated[
    bool | None, typer.Option("--oplocks/--no-oplocks", help="Whether CIFS clients may cache.")
]
_Permissions = Annotated[
    str, typer.Option("--unix-permissions", metavar="OCTAL", help="Of the directory.")
]


class QtreeStatus(enum.StrEnum):
    """Whether a restore may write into a qtree."""

    NORMAL = "normal"
    READ_ONLY = "read-only"


_Status = Annotated[
    QtreeStatus | None, typer.Option("--status", help="Whether restores may write into it.")
]


class QtreeListing(msgspec.Struct, frozen=True, kw_only=True):
    """A qtree as ``tapekit volume qtree show --json`` tells it."""

    volume: str
    name: str
    id: int
    security_style: SecurityStyle
    oplocks: bool
    status: QtreeStatus


def qtree_app(storage: VolumeStorage) -> typer.Typer:
    """The commands of the group ``volume qtree``."""
    commands = _Commands(storage)
    app = typer.Typer(no_args_is_help=True, help="Qtrees of a volume.")
    app.command("create")(commands.create)
    app.command("show")(commands.show)
    app.command("modify")(commands.modify)
    app.command("delete")(commands.delete)
    return app


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, storage: VolumeStorage) -> None:
        self._storage: Final = storage

    def create(
        self,
        volume: _Volume,
        qtree: _Qtree,
        security_style: _Style = None,
        oplocks: _Oplocks = None,
        unix_permissions: _Permissions = "0755",
    ) -> None:
        """Make a qtree, which has the volume's security style unless told otherwise."""
        chosen = self._storage.volume(volume)
        try:
            mode = int(unix_permissions, 8)
        except ValueError:
            mode = -1
        if not 0 <= mode <= 0o777:
            raise CATALOGUE.error("bad-permissions", volume=qtree, permissions=unix_permissions)
        with self._storage.top(chosen, writes=True) as top:
            qtrees = Qtrees(top, volume, self._storage.marks)
            mark = QtreeMark(
                id=qtrees.next_id(),
                security_style=security_style or chosen.traits.security_style,
                oplocks=oplocks is not False,
            )
            qtrees.create(os.fsencode(qtree), mark, mode)
        say(f"made {volume}/{qtree}, number {mark.id}")

    def show(self, volume: _AnyVolume = "", json: _AsJson = False) -> None:
        """Show the qtrees of a volume, or of all that are online, by number."""
        paths = [volume] if volume else self._storage.states.online(self._storage.volumes.values())
        rows = [row for path in paths for row in self._rows(path)]
        if json:
            say_json(rows)
            return
        say_table(
            ("VOLUME", "QTREE", "ID", "STYLE", "OPLOCKS", "STATUS"),
            (
                (
                    row.volume,
                    row.name,
                    str(row.id),
                    row.security_style.value,
                    "enable" if row.oplocks else "disable",
                    row.status.value,
                )
                for row in rows
            ),
        )

    def modify(
        self,
        volume: _Volume,
        qtree: _Qtree,
        security_style: _Style = None,
        oplocks: _Oplocks = None,
        status: _Status = None,
    ) -> None:
        """Change what is given of a qtree."""
        name = os.fsencode(qtree)
        with self._storage.top(self._storage.volume(volume), writes=True) as top:
            qtrees = Qtrees(top, volume, self._storage.marks)
            mark = qtrees.require(name)
            changed = QtreeMark(
                id=mark.id,
                security_style=security_style or mark.security_style,
                oplocks=mark.oplocks if oplocks is None else oplocks,
                is_read_only=mark.is_read_only
                if status is None
                else status is QtreeStatus.READ_ONLY,
            )
            qtrees.change(name, changed)
        say(f"changed {volume}/{qtree}")

    def delete(self, volume: _Volume, qtree: _Qtree) -> None:
        """Delete a qtree with nothing in it."""
        with self._storage.top(self._storage.volume(volume), writes=True) as top:
            Qtrees(top, volume, self._storage.marks).delete(os.fsencode(qtree))
        say(f"deleted {volume}/{qtree}")

    def _rows(self, path: str) -> list[QtreeListing]:
        with self._storage.top(self._storage.volume(path)) as top:
            found = Qtrees(top, path, self._storage.marks).all()
        return [
            QtreeListing(
                volume=path,
                name=name.decode("utf-8", "backslashreplace"),
                id=mark.id,
                security_style=mark.security_style,
                oplocks=mark.oplocks,
                status=QtreeStatus.READ_ONLY if mark.is_read_only else QtreeStatus.NORMAL,
            )
            for name, mark in found
        ]

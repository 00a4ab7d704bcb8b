"""``tapekit volume show``, ``online``, ``restrict``, ``offline``, ``modify``.

A state is changed in the stack's state store, and a running server looks
there at each use of a volume; while it uses one, its lock keeps the commands
from changing it. So they work with a server and without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, final

import msgspec
import typer

from tapekit.console import say, say_json, say_table
from tapekit.hookspecs.volume_images import VolumeState, VolumeStyle, VolumeType

if TYPE_CHECKING:
    from tapekit_volumes.storage import VolumeStorage

__all__ = ["StateListing", "add_state_commands"]

_AsJson = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
_Volume = Annotated[str, typer.Argument(metavar="VOLUME", help="As /vserver/volume.")]
_AnyVolume = Annotated[str, typer.Argument(metavar="[VOLUME]", help="One volume; else all.")]
_Type = Annotated[
    VolumeType, typer.Option("--type", help="For use, rw, or for data protection, dp.")
]


class StateListing(msgspec.Struct, frozen=True, kw_only=True):
    """A volume as ``tapekit volume show --json`` tells it."""

    path: str
    state: VolumeState
    type: VolumeType
    style: VolumeStyle
    is_whole: bool
    """Whether no restore of an image has ended before its end."""
    snapshot_copies: int


def add_state_commands(app: typer.Typer, storage: VolumeStorage) -> None:
    """Add the commands to the group ``volume``."""
    commands = _Commands(storage)
    app.command("show")(commands.show)
    app.command("online")(commands.online)
    app.command("restrict")(commands.restrict)
    app.command("offline")(commands.offline)
    app.command("modify")(commands.modify)


@final
class _Commands:
    """One method a command; the docstring is its help."""

    def __init__(self, storage: VolumeStorage) -> None:
        self._storage: Final = storage

    def show(self, volume: _AnyVolume = "", json: _AsJson = False) -> None:
        """Show states, types and styles of volumes."""
        paths = [volume] if volume else list(self._storage.volumes)
        rows = [self._row(path) for path in paths]
        if json:
            say_json(rows)
            return
        say_table(
            ("VOLUME", "STATE", "TYPE", "STYLE", "IMAGE", "SNAPSHOT COPIES"),
            (
                (
                    row.path,
                    row.state.value,
                    row.type.value.upper(),
                    row.style.value,
                    "whole" if row.is_whole else "not whole",
                    str(row.snapshot_copies),
                )
                for row in rows
            ),
        )

    def online(self, volume: _Volume) -> None:
        """Bring a volume online, so that it serves data."""
        self._change(volume, VolumeState.ONLINE)

    def restrict(self, volume: _Volume) -> None:
        """Keep everybody from a volume, so that an image can be restored to it."""
        self._change(volume, VolumeState.RESTRICTED)

    def offline(self, volume: _Volume) -> None:
        """Take a volume offline; nothing can be done with it but to bring it back."""
        self._change(volume, VolumeState.OFFLINE)

    def modify(self, volume: _Volume, kind: _Type) -> None:
        """Begin or end the protection of a volume; the next backup or restore
        of it must be a baseline.
        """
        self._storage.states.change_type(self._storage.volume(volume), kind)
        say(f"{volume} is of type {kind.value.upper()}")

    def _change(self, volume: str, state: VolumeState) -> None:
        self._storage.states.change(self._storage.volume(volume), state)
        say(f"{volume} is {state.value}")

    def _row(self, path: str) -> StateListing:
        facts = self._storage.volume_facts(path)
        return StateListing(
            path=path,
            state=facts.state,
            type=facts.type,
            style=facts.style,
            is_whole=facts.is_whole,
            snapshot_copies=len(self._storage.keeper.rows(self._storage.volume(path))),
        )

"""The plugin ``ndmpcopy``: wiring of a command that needs no stack."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, final

from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit_ndmpcopy.commands import command_app

if TYPE_CHECKING:
    import typer

__all__ = ["NdmpcopyPlugin"]


@final
class NdmpcopyPlugin:
    """The ndmpcopy tool: a client of two NDMP servers."""

    manifest: ClassVar[Manifest] = Manifest(
        name="ndmpcopy",
        summary="Copies between NDMP servers without tape: tapekit ndmpcopy",
        requires=("ndmp_v4",),
    )

    def __init__(self, _settings: NoSettings) -> None:
        """Nothing of it runs in a stack."""

    @classmethod
    def client_commands(cls) -> typer.Typer:
        """``tapekit ndmpcopy``."""
        return command_app(time.time)  # noqa: TID251 - the clock enters here

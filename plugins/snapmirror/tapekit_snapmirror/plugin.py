"""The plugin ``snapmirror``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import Manifest, NoSettings
from tapekit_snapmirror.commands import command_app
from tapekit_snapmirror.mirrors import Mirrors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager

    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import OfferedOperation

__all__ = ["SnapmirrorPlugin"]


@final
class SnapmirrorPlugin:
    """Keeps volumes as mirrors and vaults of other ones."""

    manifest: ClassVar[Manifest] = Manifest(
        name="snapmirror",
        summary="Relationships between volumes: mirrors and vaults",
        requires=("smtape", "volumes"),
    )

    def __init__(self, settings: NoSettings) -> None:
        """There is nothing to set."""
        del settings
        self._mirrors: Final = Mirrors()
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Meet the volumes.

        :raises TapekitError: there are none that images are made of.
        """
        self._kernel = kernel
        self._mirrors.settle(kernel)

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer what ``tapekit snapmirror`` asks for."""
        return self._mirrors.operations()

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit snapmirror``."""
        summary = "Relationships between volumes"
        return (CommandGroup("snapmirror", summary, command_app(self._settled)),)

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Let transfers run."""
        del kernel
        return self._mirrors.running()

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel

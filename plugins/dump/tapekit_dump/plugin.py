"""The plugin ``dump``: wiring, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, cast, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_dump import hookspecs
from tapekit_dump.commands import command_app
from tapekit_dump.engine import DumpEngine
from tapekit_dump.image_commands import image_app
from tapekit_dump.restart_cleanup import cleaning_up
from tapekit_dump.restart_commands import restart_app
from tapekit_dump.restart_operations import RestartOperations
from tapekit_dump.settings import DumpSettings
from tapekit_dump.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractAsyncContextManager
    from types import ModuleType

    import typer

    from tapekit.hookspecs.data_engine import DataEngine
    from tapekit.hookspecs.environment import Variable
    from tapekit.hookspecs.lifecycle import InitSite, Kernel
    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit_dump.small_files import SmallFileLoops

__all__ = ["DumpPlugin"]


@final
class DumpPlugin:
    """Backs trees up as BSD dump streams, and restores them."""

    manifest: ClassVar[Manifest] = Manifest(
        name="dump",
        summary="The dump engine: trees as BSD dump streams, and back",
        settings=DumpSettings,
    )

    hookspecs: ClassVar[ModuleType] = hookspecs

    def __init__(self, settings: DumpSettings) -> None:
        self._engine: Final = DumpEngine(settings)

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:  # noqa: ARG003 - every site gets the same
        """The engine works without any setting."""
        return InitPart(settings="")

    @classmethod
    def client_commands(cls) -> typer.Typer:
        """``tapekit dump`` over images, which needs no stack."""
        return image_app()

    @hookimpl
    def tapekit_register_data_engines(self) -> Sequence[DataEngine]:
        """Offer the butype ``dump``."""
        return (self._engine,)

    @hookimpl
    def tapekit_register_environment_variables(self) -> Sequence[Variable]:
        """Declare the variables of the guide's tables for dump."""
        return VARIABLES

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit dump``."""
        app = command_app(self._engine.known_dates)
        return (
            CommandGroup("dump", "What the dump engine remembers", app),
            CommandGroup(
                "vserver services ndmp restartable-backup",
                "Backups that can be restarted",
                restart_app(self._engine.kernel),
            ),
        )

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer what can be asked of restartable contexts, and the option
        ``ndmpd.offset_map.enable``.
        """
        restarts = RestartOperations(self._engine.restart_contexts).offered()
        return (*restarts, self._engine.offset_map.offered())

    @hookimpl
    def tapekit_run(self, kernel: Kernel) -> AbstractAsyncContextManager[None]:
        """Remove contexts that are of no more use, beside all else."""
        return cleaning_up(kernel, self._engine.restart_contexts())

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Let the engine meet storage and state."""
        offers = kernel.call_hook("tapekit_provide_small_file_loops")
        loops = cast("SmallFileLoops", offers[0][1]) if offers else None
        self._engine.assembled(kernel, loops)

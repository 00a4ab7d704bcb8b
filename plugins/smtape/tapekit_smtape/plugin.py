"""The plugin ``smtape``: wiring, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_smtape.commands import image_app
from tapekit_smtape.engine import SmtapeEngine
from tapekit_smtape.settings import SmtapeSettings
from tapekit_smtape.variables import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

    from tapekit.hookspecs.data_engine import DataEngine
    from tapekit.hookspecs.environment import Variable
    from tapekit.hookspecs.lifecycle import InitSite, Kernel

__all__ = ["SmtapePlugin"]


@final
class SmtapePlugin:
    """Backs volumes up as images with their Snapshot copies, and restores them."""

    manifest: ClassVar[Manifest] = Manifest(
        name="smtape",
        summary="The SMTape engine: whole volumes with their Snapshot copies, and back",
        settings=SmtapeSettings,
    )

    def __init__(self, settings: SmtapeSettings) -> None:
        self._engine: Final = SmtapeEngine(settings)

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:  # noqa: ARG003 - every site gets the same
        """The engine works without any setting."""
        return InitPart(settings="")

    @classmethod
    def client_commands(cls) -> typer.Typer:
        """``tapekit smtape`` over images, which needs no stack."""
        return image_app()

    @hookimpl
    def tapekit_register_data_engines(self) -> Sequence[DataEngine]:
        """Offer the butype ``smtape``."""
        return (self._engine,)

    @hookimpl
    def tapekit_register_environment_variables(self) -> Sequence[Variable]:
        """Declare the variables of the guide's tables for SMTape."""
        return VARIABLES

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Let the engine meet the volumes."""
        self._engine.assembled(kernel)

"""The plugin: wiring of the mover into a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Manifest
from tapekit_mover.mover import TapeMover
from tapekit_mover.settings import MoverSettings

if TYPE_CHECKING:
    from tapekit.hookspecs.mover import Mover, MoverFactory, MoverObserver
    from tapekit.hookspecs.tape_driver import OpenTape

__all__ = ["MoverPlugin"]


@final
class MoverPlugin:
    """What makes the stack's movers."""

    manifest: ClassVar[Manifest] = Manifest(
        name="mover",
        summary="Moves whole records between data connections and tapes",
        settings=MoverSettings,
    )

    def __init__(self, settings: MoverSettings) -> None:
        self._factory: Final = _Factory(settings)

    @hookimpl
    def tapekit_provide_movers(self) -> MoverFactory:
        """Offer the movers."""
        return self._factory

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """Take part in a new site; the defaults will do."""
        return InitPart()


@final
class _Factory:
    """A :class:`tapekit.hookspecs.mover.MoverFactory` by settings."""

    def __init__(self, settings: MoverSettings) -> None:
        self.default_record_size: Final = settings.record_bytes
        self.largest_record_size: Final = settings.largest_record_bytes
        self._run_bytes: Final = settings.run_bytes
        self._least_bytes: Final = settings.least_tape_mib << 20

    def create(self, tape: OpenTape, record_size: int, observer: MoverObserver) -> Mover:
        """See :meth:`MoverFactory.create`."""
        return TapeMover(tape, record_size, self._run_bytes, observer, self._least_bytes)

"""The plugin: wiring of this host's SCSI devices into a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit_scsi_sg.driver import ScsiSgDriver
from tapekit_scsi_sg.settings import ScsiSgSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.media_changer import ChangerDriver
    from tapekit.hookspecs.tape_driver import TapeDriver

__all__ = ["ScsiSgPlugin"]


@final
class ScsiSgPlugin:
    """Drives and changers that this host is attached to: the device scheme ``sg``."""

    manifest: ClassVar[Manifest] = Manifest(
        name="scsi_sg",
        summary="Tape drives and media changers attached to this host",
        requires=("tape_devices",),
        settings=ScsiSgSettings,
    )

    def __init__(self, settings: ScsiSgSettings) -> None:
        self._driver: Final = ScsiSgDriver(settings)

    @hookimpl
    def tapekit_register_tape_drivers(self) -> Sequence[TapeDriver]:
        """Offer the drives of the scheme ``sg``."""
        return (self._driver,)

    @hookimpl
    def tapekit_register_changer_drivers(self) -> Sequence[ChangerDriver]:
        """Offer the changers of the scheme ``sg``."""
        return (self._driver,)

"""The plugin: wiring of iSCSI targets into a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import Kernel, Manifest
from tapekit_scsi_iscsi.commands import command_app
from tapekit_scsi_iscsi.driver import ScsiIscsiDriver
from tapekit_scsi_iscsi.settings import ScsiIscsiSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.media_changer import ChangerDriver
    from tapekit.hookspecs.tape_driver import TapeDriver

__all__ = ["ScsiIscsiPlugin"]


@final
class ScsiIscsiPlugin:
    """Drives and changers on iSCSI targets: the device scheme ``iscsi``."""

    manifest: ClassVar[Manifest] = Manifest(
        name="scsi_iscsi",
        summary="Tape drives and media changers on iSCSI targets",
        requires=("tape_devices",),
        settings=ScsiIscsiSettings,
    )

    def __init__(self, settings: ScsiIscsiSettings) -> None:
        self._settings: Final = settings
        self._driver: Final = ScsiIscsiDriver(settings)

    @hookimpl
    def tapekit_register_tape_drivers(self) -> Sequence[TapeDriver]:
        """Offer the drives of the scheme ``iscsi``."""
        return (self._driver,)

    @hookimpl
    def tapekit_register_changer_drivers(self) -> Sequence[ChangerDriver]:
        """Offer the changers of the scheme ``iscsi``."""
        return (self._driver,)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit iscsi``."""
        app = command_app(self._settings, self._driver.offers)
        return (CommandGroup("iscsi", "Which libraries there are on iSCSI targets", app),)

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Find the file with credentials beside the stack file."""
        self._driver.settle(kernel.base_directory)

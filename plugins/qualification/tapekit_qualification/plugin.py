"""The plugin ``qualification``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit_qualification.commands import command_groups
from tapekit_qualification.files import administrators_entries, shipped_entries
from tapekit_qualification.operations import DRIVES, DriveStatuses
from tapekit_qualification.qualifier import Qualifier
from tapekit_qualification.settings import QualificationSettings
from tapekit_qualification.table import QualificationTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.commands import CommandGroup
    from tapekit.hookspecs.lifecycle import Kernel
    from tapekit.hookspecs.operations import NoRequest, OfferedOperation
    from tapekit_tape_devices.hookspecs import DriveQualifier

__all__ = ["QualificationPlugin"]


@final
class QualificationPlugin:
    """Lets only qualified tape drives be used."""

    manifest: ClassVar[Manifest] = Manifest(
        name="qualification",
        summary="Which tape drives may be used, by tape configuration files",
        requires=("tape_devices",),
        settings=QualificationSettings,
    )

    def __init__(self, settings: QualificationSettings) -> None:
        self._settings: Final = settings
        self._qualifier: Final = Qualifier()
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Read the tape configuration files.

        :raises ExceptionGroup: of the mistakes in them.
        :raises TapekitError: there is a mistake in ``emulate``.
        """
        self._kernel = kernel
        folder = kernel.base_directory / self._settings.directory
        entries = (*shipped_entries(), *administrators_entries(folder))
        table = QualificationTable(entries, self._settings.emulate)
        self._qualifier.settle(table, folder)

    @hookimpl
    def tapekit_provide_drive_qualifier(self) -> DriveQualifier:
        """Judge the drives of ``tape_devices``."""
        return self._qualifier

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer the drives' statuses."""
        return (DRIVES.performed_by(self._drives),)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer the commands of the guide."""
        return command_groups(self._settled, lambda: self._qualifier.table)

    async def _drives(self, _request: NoRequest) -> DriveStatuses:
        return DriveStatuses(self._settled().node_name, self._qualifier.statuses())

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel

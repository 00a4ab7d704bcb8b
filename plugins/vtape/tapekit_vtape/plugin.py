"""The plugin: wiring of virtual tape into a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.commands import CommandGroup
from tapekit.hookspecs.lifecycle import InitPart, InitSite, Kernel, Manifest
from tapekit_vtape.commands import barcodes, command_app, new_serial
from tapekit_vtape.driver import VtapeDriver
from tapekit_vtape.library import Library
from tapekit_vtape.operations import offered
from tapekit_vtape.settings import VtapeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.media_changer import ChangerDriver
    from tapekit.hookspecs.operations import OfferedOperation
    from tapekit.hookspecs.tape_driver import TapeDriver

__all__ = ["VtapePlugin"]


@final
class VtapePlugin:
    """Tapes that are files: the device scheme ``vtape``."""

    manifest: ClassVar[Manifest] = Manifest(
        name="vtape",
        summary="Virtual drives, a changer, slots and cartridges in a folder",
        requires=("tape_devices",),
        settings=VtapeSettings,
    )

    def __init__(self, settings: VtapeSettings) -> None:
        self._driver: Final = VtapeDriver(settings)
        self._kernel: Kernel | None = None

    @hookimpl
    def tapekit_register_tape_drivers(self) -> Sequence[TapeDriver]:
        """Offer the driver of the scheme ``vtape``."""
        return (self._driver,)

    @hookimpl
    def tapekit_register_changer_drivers(self) -> Sequence[ChangerDriver]:
        """Offer the changer of the scheme ``vtape``."""
        return (self._driver,)

    @hookimpl
    def tapekit_register_operations(self) -> Sequence[OfferedOperation]:
        """Offer faults on cue."""
        return offered(self._driver)

    @hookimpl
    def tapekit_register_command_groups(self) -> Sequence[CommandGroup]:
        """Offer ``tapekit vtape``."""
        app = command_app(self._driver.of, lambda: self._settled().management)
        return (CommandGroup("vtape", "Virtual drives, slots and cartridges", app),)

    @hookimpl
    def tapekit_on_assembled(self, kernel: Kernel) -> None:
        """Find the libraries beside the stack file."""
        self._kernel = kernel
        self._driver.settle(kernel.base_directory)

    def _settled(self) -> Kernel:
        assert self._kernel is not None
        return self._kernel

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart:
        """Make a library with two drives and eight cartridges.

        :raises TapekitError: the host refuses.
        """
        settings = VtapeSettings()
        library = Library(site.directory / settings.directory, settings)
        made: tuple[str, ...] = ()
        if not library.exists:
            library.create(new_serial(), barcodes(settings.slots))
            what = f"{settings.drives} virtual tape drives and {settings.slots} cartridges"
            made = (f"{settings.directory}: {what}",)
        table = (
            f'directory = "{settings.directory}"',
            f"drives = {settings.drives}",
            f"slots = {settings.slots}",
        )
        look = f"tapekit vtape list {site.directory / 'tapekit.toml'}"
        return InitPart("\n".join(table) + "\n", made, (look,))

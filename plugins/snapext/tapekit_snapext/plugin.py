"""The plugin ``snapext``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit_snapext.extension import snapshot_extension
from tapekit_snapext.settings import SnapextSettings
from tapekit_snapext.variables import RESTART_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.environment import Variable
    from tapekit_ndmp_v4.hookspecs import Extension

__all__ = ["SnapextPlugin"]


@final
class SnapextPlugin:
    """Restarts, and Snapshot copies to browse and to recover from."""

    manifest: ClassVar[Manifest] = Manifest(
        name="snapext",
        summary="Restartable backup and Snapshot management (extension class 0x2050)",
        requires=("ndmp_v4",),
        settings=SnapextSettings,
    )

    def __init__(self, settings: SnapextSettings) -> None:
        self._settings: Final = settings

    @hookimpl
    def tapekit_register_environment_variables(self) -> Sequence[Variable]:
        """Declare the variables of restarts."""
        return RESTART_ROWS

    @hookimpl
    def tapekit_register_ndmp_extensions(self) -> Sequence[Extension]:
        """Offer class 0x2050."""
        return (snapshot_extension(self._settings.entries_at_once),)

"""The plugin ``dump_native``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, Manifest, NoSettings
from tapekit_dump_native.library import is_built, load
from tapekit_dump_native.loops import NativeLoops

if TYPE_CHECKING:
    from tapekit.hookspecs.lifecycle import InitSite
    from tapekit_dump.small_files import SmallFileLoops

__all__ = ["DumpNativePlugin"]


@final
class DumpNativePlugin:
    """Reads and makes small files in C."""

    manifest: ClassVar[Manifest] = Manifest(
        name="dump_native",
        summary="The dump engine's loops over small files in C",
        requires=("dump",),
    )

    def __init__(self, settings: NoSettings) -> None:
        self._settings: Final = settings

    @classmethod
    def init_part(cls, site: InitSite) -> InitPart | None:  # noqa: ARG003 - every site gets the same
        """A new stack has it where it could be compiled."""
        return InitPart() if is_built() else None

    @hookimpl
    def tapekit_provide_small_file_loops(self) -> SmallFileLoops:
        """Offer the loops.

        :raises TapekitError: the library is not there or cannot be used.
        """
        return NativeLoops(load())

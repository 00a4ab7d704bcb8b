"""The plugin ``cae``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import InitPart, Manifest
from tapekit_cae.extension import connection_address_extension
from tapekit_cae.settings import CaeSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import InitSite
    from tapekit_ndmp_v4.hookspecs import Extension

__all__ = ["CaePlugin"]


@final
class CaePlugin:
    """TCP/IPv6 data connections for sessions that choose them."""

    manifest: ClassVar[Manifest] = Manifest(
        name="cae",
        summary="TCP/IPv6 data connections (Connection Address Extension)",
        requires=("ndmp_v4",),
        settings=CaeSettings,
    )

    def __init__(self, settings: CaeSettings) -> None:
        self._settings: Final = settings

    @classmethod
    def init_part(cls, _site: InitSite) -> InitPart:
        """A new site offers the extension as it is."""
        return InitPart()

    @hookimpl
    def tapekit_register_ndmp_extensions(self) -> Sequence[Extension]:
        """Offer class 0x2051."""
        return (connection_address_extension(any_family=self._settings.any_family),)

"""The plugin ``cab``: wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, final

from tapekit.hookspecs import hookimpl
from tapekit.hookspecs.lifecycle import Manifest
from tapekit_cab.extension import cluster_aware_backup
from tapekit_cab.limiting import limiting_extension
from tapekit_cab.nodes import nodes_of
from tapekit_cab.settings import CabSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit_ndmp_v4.hookspecs import Extension

__all__ = ["CabPlugin"]


@final
class CabPlugin:
    """Volumes and drives of other nodes for sessions that choose the class."""

    manifest: ClassVar[Manifest] = Manifest(
        name="cab",
        summary="Cluster Aware Backup (extension class 0x2052)",
        requires=("ndmp_v4",),
        settings=CabSettings,
    )

    def __init__(self, settings: CabSettings) -> None:
        self._settings: Final = settings
        self._nodes: Final = nodes_of(settings)

    @hookimpl
    def tapekit_register_ndmp_extensions(self) -> Sequence[Extension]:
        """Offer class 0x2052, and 0x7A9F to other nodes."""
        return (
            cluster_aware_backup(
                self._nodes,
                tcp_stands_for_ipv6=self._settings.tcp_stands_for_ipv6,
                answer_timeout_s=self._settings.answer_timeout_s,
            ),
            limiting_extension(),
        )

"""The first volume of a new site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.lifecycle import InitPart
from tapekit_volumes.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.lifecycle import InitSite

__all__ = ["first_volume"]

_DIRECTORY: Final = "volumes/vs1/vol1"

_SETTINGS: Final = f"""\
# One table a volume. Backup applications know it by its path.
[[volumes.volume]]
path = "/vs1/vol1"
directory = "{_DIRECTORY}"
# How each backup gets a Snapshot copy to read from: "copy" copies the volume
# first, which needs as much room again beside it. "none" makes no copy and
# reads the volume while it is in use: files that change meanwhile may be
# backed up half old, half new.
snapshots = "copy"
"""


def first_volume(site: InitSite) -> InitPart:
    """Make an empty volume, or take the folder that is there.

    :raises TapekitError: the folder cannot be made.
    """
    directory = site.directory / _DIRECTORY
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CATALOGUE.error(
            "volume-not-made", directory=directory, reason=error.strerror
        ) from error
    return InitPart(
        settings=_SETTINGS,
        created=(f"volume /vs1/vol1 in {_DIRECTORY}",),
        next_steps=(f"put files into {directory}",),
    )

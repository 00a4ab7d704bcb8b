"""What the dump engine asks of other plugins.

The engine's inner loops over small files may be replaced by ones that do the same faster;
the engine is complete without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tapekit.hookspecs import hookspec

if TYPE_CHECKING:
    from tapekit_dump.small_files import SmallFileLoops

__all__ = ["tapekit_provide_small_file_loops"]


@hookspec
def tapekit_provide_small_file_loops() -> SmallFileLoops | None:
    """Offer faster loops over small files.

    Called once, when the stack is assembled. At most one plugin should
    answer; of several the first counts, in dependency order. With none the
    loops in Python are used.

    :raises TapekitError: stops the start: the loops cannot be had on this
        machine.
    """

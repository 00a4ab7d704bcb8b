"""The kernel: finds plugins, builds the stack that a file asks for, runs it.

Nothing here knows what a plugin does. Plugins never import this room: they
get a kernel object whose interface is in ``tapekit.hookspecs.lifecycle``.
"""

from __future__ import annotations

from tapekit.errors import StartErrors as StartErrors
from tapekit.kernel.assemble import assemble as assemble
from tapekit.kernel.discovery import Available as Available
from tapekit.kernel.discovery import installed as installed
from tapekit.kernel.run import run as run
from tapekit.kernel.stack_kernel import StackKernel as StackKernel

__all__ = ["Available", "StackKernel", "StartErrors", "assemble", "installed", "run"]

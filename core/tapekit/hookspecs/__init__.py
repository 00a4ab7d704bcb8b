"""The hook specifications: what the kernel asks of plugins, by subject.

This list is the product's table of contents. Hooks are the control plane:
they are called at start, or once for a session or a job; bytes flow through
the objects that hooks return. ``register`` hooks join named things from all
plugins, ``provide`` hooks have at most one answer, ``on`` hooks tell
everybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tapekit.hookspecs import (
    authentication,
    commands,
    data_engine,
    environment,
    events,
    lifecycle,
    media_changer,
    mover,
    operations,
    placement,
    state,
    storage,
    tape_driver,
    transport,
)
from tapekit.hookspecs._markers import PROJECT as PROJECT
from tapekit.hookspecs._markers import hookimpl as hookimpl
from tapekit.hookspecs._markers import hookspec as hookspec

if TYPE_CHECKING:
    from types import ModuleType

SUBJECTS: Final[tuple[ModuleType, ...]] = (
    lifecycle,
    transport,
    authentication,
    placement,
    storage,
    data_engine,
    mover,
    tape_driver,
    media_changer,
    environment,
    events,
    commands,
    operations,
    state,
)
"""One module a subject, in the order in which a reader meets them."""

"""The option ``ndmpd.offset_map.enable``: whether backups get an offset map.

The stack file says what it is at first; an administrator switches it while
the stack runs, for backups to come. The one rule: what was switched is
remembered over restarts, and counts more than the stack file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.operations import OptionState, option
from tapekit_dump.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit.hookspecs.operations import OfferedOperation, OptionRequest
    from tapekit.hookspecs.state import StateStore

__all__ = ["OffsetMapOption"]

_NAME: Final = "ndmpd.offset_map.enable"
_NAMESPACE: Final = "dump.options"
_ON: Final = "on"
_OFF: Final = "off"


@final
class OffsetMapOption:
    """The option in one stack; for any number of threads.

    :param at_first: what it is until somebody has switched it.
    """

    def __init__(self, *, at_first: bool) -> None:
        self._at_first: Final = at_first
        self._state: StateStore | None = None

    def settle(self, state: StateStore) -> None:
        """Meet what the stack remembers."""
        self._state = state

    @property
    def is_on(self) -> bool:
        """Whether backups with file history get an offset map."""
        known = None if self._state is None else self._state.get(_NAMESPACE, _NAME)
        return self._at_first if known is None else known == _ON.encode()

    def offered(self) -> OfferedOperation:
        """What shows and switches it."""
        summary = "Whether backups get an offset map, for enhanced direct access"
        return option(_NAME, summary).performed_by(self._perform)

    async def _perform(self, request: OptionRequest) -> OptionState:
        if request.value is not None:
            if request.value not in {_ON, _OFF}:
                raise CATALOGUE.error("bad-offset-map-option", value=request.value)
            await trio.to_thread.run_sync(self._switch, request.value)
        value = _ON if await trio.to_thread.run_sync(lambda: self.is_on) else _OFF
        return OptionState(name=_NAME, value=value, values=(_ON, _OFF))

    def _switch(self, value: str) -> None:
        assert self._state is not None, "the stack has been assembled"
        self._state.change(_NAMESPACE, {_NAME: value.encode()})

"""Waiting for a tape that is being loaded.

After a robot has put a cartridge into a drive, the drive needs up to some
minutes until the tape is ready, and says so to whoever asks. There is nothing
to wait for but its next answer, so it is asked again after a pause. The one
rule: only a drive that says that it is becoming ready is waited for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.sense import SenseKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from tapekit.scsi.sense import Sense
    from tapekit.scsi_devices.conversation import Conversation

__all__ = ["finish_loading"]

_BECOMING_READY: Final = (SenseKey.NOT_READY, 0x04, 0x01)
_LOAD_REQUIRED: Final = (SenseKey.NOT_READY, 0x04, 0x02)

_PAUSE_S: Final = 1.0
_MOST_PAUSES: Final = 180
"""Three minutes: twice what the slowest drives take for a cartridge they know."""


def _rest(seconds: float) -> None:
    threading.Event().wait(seconds)


def finish_loading(
    talk: Conversation,
    *,
    loads_itself: bool,
    timeout_s: float,
    pause: Callable[[float], None] = _rest,
) -> None:
    """Wait until a tape that is being loaded is ready, and load one that
    waits for that. Whether there is a tape at all is not judged here.

    :param loads_itself: the drive loads whatever is put in, so that a tape
        which is in and not loaded has been unloaded on purpose.
    :param timeout_s: how long LOAD may take.
    :raises TapeError: the drive does not answer, or cannot load the tape.
    """
    for _ in range(_MOST_PAUSES):
        state = _state(talk)
        if state == _LOAD_REQUIRED and not loads_itself:
            _load(talk, timeout_s)
            return
        if state != _BECOMING_READY:
            return
        pause(_PAUSE_S)


def _state(talk: Conversation) -> tuple[int, int, int] | None:
    """Sense key, code and qualifier; ``None`` if the drive is ready."""
    sense: Sense | None = talk.send("TEST UNIT READY")[1]
    return None if sense is None else (sense.key, sense.asc, sense.ascq)


def _load(talk: Conversation, timeout_s: float) -> None:
    try:
        talk.run("LOAD UNLOAD", timeout_s=timeout_s, load=1)
    except TapeError as error:
        if error.condition is not Condition.NO_TAPE:
            raise

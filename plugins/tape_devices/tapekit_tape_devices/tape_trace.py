"""The trace of a drive: what it was asked and what it answered, a line each.

A trace is a file of its own, made anew for its owner alone, and has a limit,
so that one that was forgotten fills no disk. The one rule: a trace that
cannot be written ends itself, and no job.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
from typing import TYPE_CHECKING, Final, final

from tapekit.scsi.cdb import CHANGER_COMMANDS, TAPE_COMMANDS, FieldRefused
from tapekit.scsi.door import Status
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import decode_sense

if TYPE_CHECKING:
    from pathlib import Path

    from tapekit.scsi.door import CdbReply

__all__ = ["DriveTrace", "answer_words", "command_words"]

_LOG: Final = logging.getLogger("tapekit.tape_devices")

_LONGEST_BYTES: Final = 256 << 20
"""Where a trace ends by itself."""


@final
class DriveTrace:
    """An open trace. Lines may come from one thread, and its end from another."""

    def __init__(self, file: Path, *, longest: int = _LONGEST_BYTES) -> None:
        """:raises OSError: the file cannot be made."""
        self.file: Final = file
        self._left = longest
        file.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        # Buffered, because such a file has a lock of its own around its end.
        self._stream: Final = os.fdopen(os.open(file, flags, 0o600), "ab")

    def say(self, time_s: float, text: str) -> bool:
        """Write a line; whether the trace goes on."""
        time = dt.datetime.fromtimestamp(time_s, dt.UTC)
        line = f"{time:%Y-%m-%dT%H:%M:%S.%fZ}  {text}\n".encode()
        self._left -= len(line)
        if self._left < 0:
            line = b"The trace has its longest length.\n"
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError as error:
            _LOG.error("the trace %s ends: %s", self.file, error.strerror)
        except ValueError:
            # Somebody has ended the trace meanwhile.
            return False
        else:
            if self._left >= 0:
                return True
        self.close()
        return False

    def close(self) -> None:
        """End the trace; later calls do nothing."""
        try:
            self._stream.close()
        except OSError as error:
            _LOG.error("the end of the trace %s is not there: %s", self.file, error.strerror)


def command_words(cdb: bytes, *, is_changer: bool = False) -> str:
    """A command by its name and its fields that are not zero."""
    commands = CHANGER_COMMANDS if is_changer else TAPE_COMMANDS
    command = commands.get(cdb[0])
    if command is None:
        return f"CDB {cdb.hex(' ')}"
    try:
        fields = command.parse(cdb)
    except FieldRefused:
        return f"{command.name}  CDB {cdb.hex(' ')}"
    return " ".join((command.name, *(f"{name}={value}" for name, value in fields.items() if value)))


def answer_words(reply: CdbReply) -> str:
    """What a device answered: how the command ended, how much came or went."""
    try:
        words = Status(reply.status).name.replace("_", " ")
    except ValueError:
        words = f"status {reply.status:02X}h"
    if reply.status == Status.CHECK_CONDITION:
        try:
            words += f" {decode_sense(reply.sense)}"
        except Malformed:
            words += f" sense {reply.sense.hex(' ')}"
    if reply.data:
        words += f", {len(reply.data)} bytes came"
    if reply.written:
        words += f", {reply.written} bytes went"
    return words

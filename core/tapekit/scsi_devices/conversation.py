"""Commands to a device behind its door, one after the other.

It finds commands by name, reads sense data, and makes errors that name the
device and the command. The one rule: a command is sent again only when the
device says that it was not carried out, and after a unit attention only where
the caller allows it, because after a reset a tape may stand elsewhere.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeVar, final

from tapekit.errors import CORE
from tapekit.hookspecs.tape_driver import Condition, TapeError
from tapekit.scsi.malformed import Malformed
from tapekit.scsi.sense import SenseKey
from tapekit.scsi_devices.conditions import condition_of, sense_of
from tapekit.scsi_devices.lost_answers import is_path_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tapekit.scsi.cdb import Command
    from tapekit.scsi.door import CdbDoor
    from tapekit.scsi.sense import Sense

__all__ = ["ASK_S", "Conversation"]

_LOG: Final = logging.getLogger("tapekit.scsi_devices")

ASK_S: Final = 60.0
"""How long a device may think about what it knows, in seconds."""

_HARMLESS: Final = frozenset(
    {
        (0x2A, 0x02),  # log parameters changed
        (0x2A, 0x10),  # time stamp changed
        (0x3F, 0x01),  # microcode changed
        (0x3F, 0x03),  # inquiry data changed
        (0x3F, 0x0E),  # the target has more logical units now, or fewer
        (0x5A, 0x01),  # an operator would like to have the medium
    }
)
"""Unit attentions after which everything is as it was: the command was not
carried out, and is sent again whatever it is (SPC, ASC and ASCQ)."""

_RESET: Final = 0x29
"""Power on, reset, or loss of the connection to the initiator (SPC, ASC)."""

_MENDED: Final = frozenset({SenseKey.NO_SENSE, SenseKey.RECOVERED_ERROR, SenseKey.COMPLETED})
"""Sense keys of an earlier command after which nothing is wrong. The command
that gets such news as a deferred error was not carried out itself (SPC)."""

_ATTENTIONS: Final = 8
"""As many unit attentions as a device may have in store for one command."""

T = TypeVar("T")


@final
class Conversation:
    """What a driver says to one device, and what it hears."""

    def __init__(self, door: CdbDoor, device: str, commands: Mapping[int, Command]) -> None:
        """:param device: the device's physical path name, for messages.
        :param commands: what the device may be sent, by operation code.
        """
        self._door: Final = door
        self._device: Final = device
        self._commands: Final = {command.name: command for command in commands.values()}
        self._news: Final[list[Sense]] = []
        self.timeouts_s: Mapping[int, float] = {}
        """Time limits that replace those of callers, by operation code."""

    @property
    def attentions(self) -> int:
        """How many unit attentions have come, but for harmless ones."""
        return len(self._news)

    @property
    def other_news(self) -> int:
        """Those of them that tell of more than a reset or a lost connection."""
        return sum(sense.asc != _RESET for sense in self._news)

    def has_lost_path_alone(self, since: int) -> bool:
        """Whether all that has happened is that a way to the device was lost;
        over the next one a device may tell of a reset besides (SPC).

        :param since: the attentions that are not looked at.
        """
        news = self._news[since:]
        is_lost = bool(news) and is_path_lost(news[0])
        return is_lost and all(sense.asc == _RESET for sense in news)

    def send(
        self,
        name: str,
        data: bytes = b"",
        *,
        room: int = 0,
        timeout_s: float = ASK_S,
        **values: int,
    ) -> tuple[bytes, Sense | None]:
        """Send a command until something is heard of it.

        :param data: what goes with it.
        :param room: how many bytes may come back.
        :param values: its fields; see :mod:`tapekit.scsi.cdb`.
        :returns: what came back, and the sense data unless it simply succeeded.
        :raises TapeError: the device gave no answer, or none that can be read.
        """
        command = self._commands[name]
        block, limit_s = command.build(**values), self.timeouts_s.get(command.opcode, timeout_s)
        for _ in range(_ATTENTIONS):
            reply = self._door.execute(block, data_out=data, data_in=room, timeout_s=limit_s)
            sense = sense_of(reply, self._device, name)
            if sense is not None and sense.is_deferred and sense.key in _MENDED:
                _LOG.info("%s before %s: %s", self._device, name, sense)
                continue
            if sense is None or sense.key != SenseKey.UNIT_ATTENTION:
                break
            if (sense.asc, sense.ascq) not in _HARMLESS:
                self._news.append(sense)
                break
        return reply.data, sense

    def run(
        self,
        name: str,
        data: bytes = b"",
        *,
        room: int = 0,
        timeout_s: float = ASK_S,
        **values: int,
    ) -> bytes:
        """Send a command until it is carried out; what came back. For what
        means the same after a reset and with another tape.

        :raises TapeError: it was not carried out.
        """
        for _ in range(_ATTENTIONS):
            before = self.attentions
            answer, sense = self.send(name, data, room=room, timeout_s=timeout_s, **values)
            if self.attentions == before:
                break
        condition = condition_of(sense) if sense else None
        if condition is not None:
            raise self.error(name, sense, condition)
        return answer

    def decoded(self, name: str, decode: Callable[[], T]) -> T:
        """Read what a command answered.

        :raises TapeError: ``HARDWARE_ERROR``, it cannot be read.
        """
        try:
            return decode()
        except Malformed as error:
            raise CORE.raised_as(
                TapeError,
                "scsi-unreadable",
                condition=Condition.HARDWARE_ERROR,
                device=self._device,
                command=name,
                reason=str(error),
            ) from error

    def error(self, name: str, sense: Sense | None, condition: Condition) -> TapeError:
        """The error of a command that was not carried out in full."""
        return CORE.raised_as(
            TapeError,
            "scsi-refused",
            condition=condition,
            device=self._device,
            command=name,
            sense=sense,
        )

"""A door that answers from a script."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import pytest

from tapekit.scsi.cdb import TAPE_COMMANDS
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.position import LONG, Position, encode_position
from tapekit.scsi.sense import Sense, encode_sense

if TYPE_CHECKING:
    from collections.abc import Mapping


@final
class ScriptDoor:
    """A drive that answers each command in its own way every time, and once
    in the way that ``next`` has for it.
    """

    address = ScsiAddress(0, 1, 0)

    def __init__(self) -> None:
        self.ran: list[tuple[str, Mapping[str, int], bytes]] = []
        self.next: dict[str, list[Sense | bytes]] = {}
        self.next_status: dict[str, list[int]] = {}
        self.limits: dict[str, float] = {}
        self.position = Position(0, 0)
        self.usual: dict[str, Sense | bytes] = {
            "READ BLOCK LIMITS": bytes.fromhex("00 000400 0001"),
            "MODE SENSE(6)": bytes.fromhex("0b 68 10 08 5a 000000 00 000000"),
            "LOG SENSE": Sense(5, 0x24, 0),
        }

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.ran]

    @property
    def motions(self) -> list[str]:
        """Those that may have brought the tape elsewhere."""
        return [name for name in self.names if name != "READ POSITION"]

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        assert timeout_s is not None
        command = TAPE_COMMANDS[cdb[0]]
        self.ran.append((command.name, command.parse(cdb), data_out))
        self.limits[command.name] = timeout_s
        if self.next_status.get(command.name):
            return CdbReply(self.next_status[command.name].pop(0))
        waiting = self.next.get(command.name)
        answer = waiting.pop(0) if waiting else self._usual(command.name)
        if isinstance(answer, Sense):
            return CdbReply(Status.CHECK_CONDITION, sense=encode_sense(answer))
        return CdbReply(Status.GOOD, answer[:data_in], len(data_out))

    def _usual(self, name: str) -> Sense | bytes:
        if name == "READ POSITION":
            return encode_position(self.position, LONG)
        return self.usual.get(name, b"")

    def reset(self) -> None:
        self.next.setdefault("TEST UNIT READY", []).append(Sense(6, 0x29, 0))


@pytest.fixture
def door() -> ScriptDoor:
    return ScriptDoor()

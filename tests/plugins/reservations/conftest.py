"""Systems that share one virtual library, each with a stack file of its own."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, final

import pytest

from tapekit.hookspecs.lifecycle import InitSite
from tapekit.hookspecs.tape_driver import OpenMode
from tapekit.kernel import Available, assemble
from tapekit.scsi.door import CdbReply, ScsiAddress, Status
from tapekit.scsi.sense import Sense, encode_sense
from tapekit_reservations.plugin import ReservationsPlugin
from tapekit_state_sqlite.plugin import StateSqlitePlugin
from tapekit_tape_devices.plugin import TapeDevicesPlugin
from tapekit_vtape.plugin import VtapePlugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tapekit.hookspecs.tape_driver import OpenTape
    from tapekit.kernel import StackKernel


class System(NamedTuple):
    """A stack that runs."""

    kernel: StackKernel

    def open(self, device: str = "nrst0a") -> OpenTape:
        assert self.kernel.tape_inventory is not None
        return self.kernel.tape_inventory.open(device, OpenMode.READ_WRITE, "session 1")

    def open_changer(self) -> Any:
        assert self.kernel.tape_inventory is not None
        return self.kernel.tape_inventory.open_changer("mc0", "session 1")


@pytest.fixture
def system(tmp_path: Path, management: Any) -> Callable[..., Any]:
    """Runs a system: ``async with system("a", method="scsi") as a``. All share
    a library; a name has a folder of its own, which a second start finds again.
    """
    table = VtapePlugin.init_part(InitSite(tmp_path, "127.0.0.1", 1)).settings
    shared, count = re.subn(r"(?m)^directory = .*", f'directory = "{tmp_path / "vtape"}"', table)
    assert count == 1
    plugins = (
        TapeDevicesPlugin,
        StateSqlitePlugin,
        VtapePlugin,
        ReservationsPlugin,
        management,
    )

    @asynccontextmanager
    async def start(name: str, method: str = "") -> AsyncIterator[System]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        names = ", ".join(f'"{plugin.manifest.name}"' for plugin in plugins)
        reserve = f'[reservations]\nmethod = "{method}"' if method else ""
        file = folder / "tapekit.toml"
        file.write_text(f'plugins = [{names}]\nnode = "{name}"\n[vtape]\n{shared}\n{reserve}\n')
        available = [
            Available(
                plugin.manifest.name, "tests", plugin.__module__, lambda plugin=plugin: plugin
            )
            for plugin in plugins
        ]
        kernel = assemble(file, available, clock=lambda: 1_700_000_000.0)
        async with AsyncExitStack() as contexts:
            for _, context in kernel.contexts():
                await contexts.enter_async_context(context)
            yield System(kernel)

    return start


@final
class ScriptedDoor:
    """A door that answers operation codes as told; ``sent`` tells what came."""

    address = ScsiAddress()

    def __init__(self, **answers: CdbReply | Sense | int) -> None:
        """:param answers: by operation code, as ``x0A``."""
        self.answers: dict[int, CdbReply | Sense | int] = {
            int(code.removeprefix("x"), 16): answer for code, answer in answers.items()
        }
        self.once: dict[int, Sense] = {}
        """What comes before the answers, once each."""
        self.sent: list[int] = []
        self.resets = 0

    def execute(
        self, cdb: bytes, *, data_out: bytes = b"", data_in: int = 0, timeout_s: float | None = None
    ) -> CdbReply:
        self.sent.append(cdb[0])
        answer = self.once.pop(cdb[0], None) or self.answers.get(cdb[0], Status.GOOD)
        if isinstance(answer, Sense):
            return CdbReply(Status.CHECK_CONDITION, sense=encode_sense(answer))
        return answer if isinstance(answer, CdbReply) else CdbReply(answer)

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def door_of() -> type[ScriptedDoor]:
    return ScriptedDoor

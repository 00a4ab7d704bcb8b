"""What counts as a mover at work, before it has a connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tapekit.errors import CORE, TapekitError
from tapekit_ndmp_v4.mover_server import MoverServer
from tapekit_ndmp_v4.numbers import MoverMode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class FailingTransport:
    """Takes until it is told to fail."""

    kind = "TCP_IPV6"

    def __init__(self) -> None:
        self.fails = trio.Event()

    async def listen(self, host: str) -> Any:
        await self.fails.wait()
        raise CORE.error("duplicate-provider", kind=host, first="one", second="two")

    async def connect(self, endpoint: Any, credentials: Any) -> Any:
        await self.listen(str((endpoint, credentials)))


def a_mover() -> Any:
    link, factory = (
        SimpleNamespace(host_for=lambda _kind: "::1"),
        SimpleNamespace(default_record_size=10240),
    )
    tapes: Any = SimpleNamespace()
    server: Any = MoverServer(link, factory, tapes, lambda: None)  # type: ignore[arg-type]  # as much as connecting needs
    return server


@pytest.mark.requirement("R311")
@pytest.mark.parametrize(
    "ask",
    [
        lambda mover, transport: mover.listen_at(transport, MoverMode.READ),
        lambda mover, transport: mover.connect_to(transport, MoverMode.READ, None, ()),
    ],
    ids=["listen", "connect"],
)
async def test_who_is_about_to_move_data_counts_until_it_fails(
    ask: Callable[[Any, Any], Awaitable[None]],
) -> None:
    mover, transport = a_mover(), FailingTransport()

    async def failing() -> None:
        with pytest.raises(TapekitError):
            await ask(mover, transport)

    assert not mover.is_engaged
    async with trio.open_nursery() as nursery:
        nursery.start_soon(failing)
        await trio.testing.wait_all_tasks_blocked()
        assert mover.is_engaged
        transport.fails.set()
    assert not mover.is_engaged

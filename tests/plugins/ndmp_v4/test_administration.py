"""Operations on a server that is slow to do them; the rest is shown by live sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tapekit.errors import TapekitError
from tapekit.hookspecs.operations import NoRequest
from tapekit_ndmp_v4.administration import Administration, Serving

if TYPE_CHECKING:
    from collections.abc import Collection


class StuckSession:
    number = 5


class FailingServer:
    """A server whose session never ends."""

    sessions = (StuckSession(),)

    async def end(self, numbers: Collection[int], reason: str) -> None:
        assert list(numbers) == [5]
        assert reason
        await trio.sleep_forever()


async def test_the_end_of_a_session_is_not_waited_for_without_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    administration = Administration()
    server: Any = FailingServer()
    anything: Any = None
    administration.begin(Serving(anything, server, anything, anything, (), (), None, 0))
    with pytest.raises(TapekitError, match="5: still not ended after 10 seconds"):
        await administration.terminate(NoRequest())
    administration.end()
    with pytest.raises(TapekitError, match="has not begun to serve, or has ended"):
        await administration.terminate(NoRequest())


def test_every_operation_is_offered_once_under_the_plugins_name() -> None:
    names = [one.name for one in Administration().offered()]
    assert len(set(names)) == len(names) == 14
    assert all(name.startswith("ndmp_v4.") for name in names)

"""The plugin in a stack: its socket lives as long as the stack does."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from tapekit.errors import TapekitError
from tapekit.kernel import run


async def test_the_socket_is_there_while_the_stack_runs(managed: Any, serving: Any) -> None:
    kernel = managed('[admin]\nsocket = "run/a.sock"\n')
    path = kernel.base_directory / "run" / "a.sock"
    assert not path.exists()
    async with serving(kernel):
        assert path.exists()
    assert not path.exists()


async def test_a_second_stack_in_one_folder_does_not_start(managed: Any, serving: Any) -> None:
    first, second = managed(), managed()
    _, never = trio.open_memory_channel[object](0)

    async with serving(first):
        with pytest.raises(BaseExceptionGroup) as refused:
            await run(second, never, lambda _: None)
        assert refused.group_contains(TapekitError, match="another server uses")
        assert (first.base_directory / "state" / "admin.sock").exists()

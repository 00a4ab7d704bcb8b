"""Commands that signals end early say what is true of them."""

from __future__ import annotations

import signal

import pytest
import trio

from tapekit.errors import TapekitError
from tapekit_dma.errors import CATALOGUE
from tapekit_dma.running import run_to_end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_end_is_told(number: signal.Signals) -> None:
    async def work() -> str:
        signal.raise_signal(number)
        await trio.sleep_forever()

    with pytest.raises(TapekitError, match=f"interrupted by {number.name}"):
        run_to_end(work)


def test_a_signal_after_a_backup_is_good_leaves_it_so() -> None:
    settled: list[str] = []

    async def work() -> str:
        settled.append("good")
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    assert run_to_end(work, settled) == "good"


def test_a_failure_after_a_backup_is_good_leaves_it_so() -> None:
    settled: list[str] = []

    async def work() -> str:
        settled.append("good")
        raise CATALOGUE.error("no-such-backup", number=1)

    assert run_to_end(work, settled) == "good"

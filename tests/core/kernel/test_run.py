from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tapekit.kernel import StackKernel, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    Assemble = Callable[..., StackKernel]
    MakePlugin = Callable[..., Any]


class Signals:
    """Signals that a test sends."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel[object](10)

    def send(self) -> None:
        self._send.send_nowait(15)

    @property
    def receiver(self) -> trio.MemoryReceiveChannel[object]:
        return self._receive

    def close(self) -> None:
        self._send.close()
        self._receive.close()


@pytest.fixture
def signals() -> Iterator[Signals]:
    made = Signals()
    yield made
    made.close()


class Worker:
    """A plugin's context with one job, which ends when the test says so."""

    def __init__(self, plugin: MakePlugin, name: str = "worker") -> None:
        self.log: list[str] = []
        self.job_ended = trio.Event()
        self.ready = trio.Event()
        self.plugin = plugin(name, tapekit_run=lambda _, kernel: self.context(kernel))

    @contextlib.asynccontextmanager
    async def context(self, kernel: StackKernel) -> AsyncIterator[None]:
        kernel.listening("127.0.0.1:10000")
        self.ready.set()
        try:
            yield
            assert kernel.draining.is_set()
            self.log.append("waiting for the job")
            await self.job_ended.wait()
            self.log.append("job ended")
        except trio.Cancelled:
            self.log.append("job aborted")
            raise
        finally:
            self.log.append("freed")


async def test_the_first_signal_waits_for_jobs(
    plugin: MakePlugin, assembled: Assemble, signals: Signals, autojump_clock: object
) -> None:
    worker = Worker(plugin)
    addresses: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, assembled(worker.plugin), signals.receiver, addresses.append)
        await worker.ready.wait()
        signals.send()
        await trio.testing.wait_all_tasks_blocked()
        assert worker.log == ["waiting for the job"]
        worker.job_ended.set()
    assert worker.log == ["waiting for the job", "job ended", "freed"]
    assert addresses == ["127.0.0.1:10000"]


async def test_the_second_signal_cancels_jobs(
    plugin: MakePlugin,
    assembled: Assemble,
    signals: Signals,
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker, other = Worker(plugin), Worker(plugin, "other")
    signals.send()
    signals.send()
    await run(assembled(worker.plugin, other.plugin), signals.receiver, lambda _: None)
    assert (worker.log[-1], other.log[-1]) == ("freed", "freed")
    assert "job ended" not in worker.log + other.log
    assert "jobs that still ran were cancelled" in caplog.text


async def test_jobs_get_the_time_that_the_stack_file_gives(
    plugin: MakePlugin, assembled: Assemble, signals: Signals, autojump_clock: object
) -> None:
    worker = Worker(plugin)
    signals.send()
    start_s = trio.current_time()
    kernel = assembled(worker.plugin, tables="drain_timeout_s = 90\n")
    await run(kernel, signals.receiver, lambda _: None)
    assert trio.current_time() - start_s == pytest.approx(90)
    assert worker.log == ["waiting for the job", "job aborted", "freed"]


async def test_a_signal_during_the_start_stops_the_stack(
    plugin: MakePlugin, assembled: Assemble, signals: Signals, autojump_clock: object
) -> None:
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        try:
            await trio.Event().wait()
            yield
        finally:
            log.append("left")

    signals.send()
    signals.send()
    kernel = assembled(plugin("slow", tapekit_run=lambda self, kernel: slow()))
    await run(kernel, signals.receiver, log.append)
    assert log == ["left"]
    assert not kernel.is_ready


def starting(plugin: MakePlugin, task: Callable[[], Any], log: list[str]) -> Any:
    @contextlib.asynccontextmanager
    async def context(kernel: StackKernel) -> AsyncIterator[None]:
        kernel.start_task(task, "sweeper")
        try:
            yield
        finally:
            log.append("left")

    return plugin("starter", tapekit_run=lambda self, kernel: context(kernel))


async def test_tasks_are_cancelled_after_the_last_context_was_left(
    plugin: MakePlugin, assembled: Assemble, signals: Signals
) -> None:
    log: list[str] = []

    async def sweep() -> None:
        try:
            signals.send()
            await trio.sleep_forever()
        finally:
            log.append("task ended")

    kernel = assembled(starting(plugin, sweep, log))
    await run(kernel, signals.receiver, log.append)
    assert log == ["left", "task ended"]


async def test_a_task_may_end_by_itself(
    plugin: MakePlugin, assembled: Assemble, signals: Signals
) -> None:
    log: list[str] = []

    async def sweep() -> None:
        log.append("swept")
        signals.send()

    await run(assembled(starting(plugin, sweep, log)), signals.receiver, log.append)
    assert log == ["swept", "left"]


async def test_an_error_in_a_task_ends_the_stack(
    plugin: MakePlugin, assembled: Assemble, signals: Signals
) -> None:
    log: list[str] = []

    async def sweep() -> None:
        raise ValueError("broom broke")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="broom broke")):
        await run(assembled(starting(plugin, sweep, log)), signals.receiver, log.append)
    assert log == ["left"]


async def test_two_stacks_run_side_by_side(
    plugin: MakePlugin, assembled: Assemble, signals: Signals
) -> None:
    first, second = Worker(plugin), Worker(plugin)
    others = Signals()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, assembled(first.plugin), signals.receiver, first.log.append)
        nursery.start_soon(run, assembled(second.plugin), others.receiver, second.log.append)
        await first.ready.wait()
        await second.ready.wait()
        first.job_ended.set()
        signals.send()
        await trio.testing.wait_all_tasks_blocked()
        assert first.log[-1] == "freed"
        assert second.log == ["127.0.0.1:10000"]
        second.job_ended.set()
        others.send()
    assert second.log[-1] == "freed"
    others.close()

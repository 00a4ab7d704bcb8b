"""The way out of a connection: order, back pressure, and what it costs."""

from __future__ import annotations

import trio
import trio.testing

from tapekit.hookspecs.transport import Endpoint
from tapekit_ndmp_v4.outbox import Outbox


class MemoryStream:
    """Takes what is sent, once it is let."""

    local = peer = Endpoint("127.0.0.1", 1)
    is_private = True
    svms = frozenset[str]()

    def __init__(self) -> None:
        self.sent = bytearray()
        self.may_go_on = trio.Event()

    async def receive_some(self) -> bytes:
        return b""

    async def aclose(self) -> None:
        self.may_go_on.set()

    async def send_all(self, data: bytes) -> None:
        await self.may_go_on.wait()
        self.sent += data


async def test_the_time_that_posts_wait_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outbox, stream = Outbox(4), MemoryStream()
    outbox.put(b"full")
    assert outbox.waited_s == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.put_when_room, lambda: b"more")
        await trio.sleep(3)
        assert outbox.waited_s == 3
        assert outbox.waiting_bytes == 4
        stream.may_go_on.set()
        nursery.start_soon(outbox.run, stream)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(5)
        assert outbox.waited_s == 3
        outbox.close()
    assert stream.sent == b"fullmore"


async def test_who_gives_up_waiting_has_waited_all_the_same(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outbox = Outbox(1)
    outbox.put(b"x")
    with trio.move_on_after(2):
        await outbox.put_when_room(lambda: b"y")
    await trio.sleep(1)
    assert outbox.waited_s == 2


async def test_a_closed_outbox_takes_nothing_and_makes_nobody_wait() -> None:
    outbox = Outbox(1)
    outbox.put(b"x")
    outbox.close()
    await outbox.put_when_room(lambda: b"y")
    outbox.put(b"z")
    assert outbox.waiting_bytes == 1


async def test_a_client_that_takes_no_replies_is_asked_for_nothing_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outbox, stream = Outbox(4), MemoryStream()
    outbox.put(b"posts")
    with trio.fail_after(60):
        await outbox.room_for_reply()
    outbox.put(b"replies")
    with trio.move_on_after(1) as waiting:
        await outbox.room_for_reply()
    assert waiting.cancelled_caught
    assert outbox.waited_s == 0, "that is the client's time, not the engine's"
    stream.may_go_on.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run, stream)
        with trio.fail_after(60):
            await outbox.room_for_reply()
        outbox.close()
    assert stream.sent == b"postsreplies"


async def test_nobody_waits_for_room_in_a_closed_outbox() -> None:
    outbox = Outbox(1)
    outbox.put(b"full")
    outbox.close()
    with trio.fail_after(60):
        await outbox.room_for_reply()


async def test_a_thread_hands_over_without_waiting_while_there_is_room() -> None:
    outbox, stream = Outbox(8), MemoryStream()
    stream.may_go_on.set()

    def job() -> list[bool]:
        return [outbox.hand_over(lambda: b"fourfour"[:4], 4) for _ in range(3)]

    assert await trio.to_thread.run_sync(job) == [True, True, False]
    assert outbox.waiting_bytes == 8
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run, stream)
        await trio.testing.wait_all_tasks_blocked()
        assert stream.sent == b"fourfour"
        assert outbox.waiting_bytes == 0
        assert await trio.to_thread.run_sync(job) == [True, True, False]
        outbox.close()
    assert stream.sent == b"fourfour" * 2


async def test_what_was_handed_over_is_numbered_before_what_comes_later() -> None:
    outbox, stream = Outbox(100), MemoryStream()
    stream.may_go_on.set()
    numbers = iter(range(10))

    def encode() -> bytes:
        return b"%d" % next(numbers)

    await trio.to_thread.run_sync(lambda: [outbox.hand_over(encode, 1) for _ in range(3)])
    await outbox.put_when_room(encode)
    await trio.to_thread.run_sync(lambda: outbox.hand_over(encode, 1))
    outbox.settle()
    outbox.put(encode())
    outbox.close()
    await outbox.run(stream)
    assert stream.sent == b"012345"


async def test_a_closed_outbox_sends_what_was_handed_over_before() -> None:
    outbox, stream = Outbox(100), MemoryStream()
    stream.may_go_on.set()
    outbox.hand_over(lambda: b"before", 6)
    outbox.close()
    outbox.hand_over(lambda: b"after", 5)
    await outbox.run(stream)
    assert stream.sent == b"before"


async def test_who_waits_for_what_is_queued_waits_until_it_is_sent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    outbox, stream = Outbox(100), MemoryStream()
    outbox.hand_over(lambda: b"history", 7)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.run, stream)
        with trio.move_on_after(5) as waiting:
            await outbox.all_sent()
        assert waiting.cancelled_caught
        stream.may_go_on.set()
        with trio.fail_after(60):
            await outbox.all_sent()
        assert stream.sent == b"history"
        with trio.fail_after(60):
            await outbox.all_sent()
        outbox.close()

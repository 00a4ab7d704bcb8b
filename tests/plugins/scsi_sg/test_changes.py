"""Announcements of the kernel are heard, those of other things are not."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from tapekit_scsi_sg.changes import Announcements, kernel_socket

COMES = b"add@/devices/x\0ACTION=add\0SUBSYSTEM=scsi_generic\0SEQNUM=1\0"
OTHER = b"add@/devices/y\0ACTION=add\0SUBSYSTEM=net\0SEQNUM=2\0"


async def test_devices_are_announced(autojump_clock: trio.testing.MockClock) -> None:
    kernel, ours = trio.socket.socketpair(type=trio.socket.SOCK_DGRAM)

    async def connect() -> trio.socket.SocketType:
        return ours

    announcements = Announcements(connect)
    await announcements.change()
    heard = 0

    async def listen() -> None:
        nonlocal heard
        while True:
            await announcements.change()
            heard += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await kernel.send(OTHER)
        await trio.sleep(5)
        assert heard == 0
        for _ in range(3):
            await kernel.send(COMES)
        await trio.sleep(5)
        assert heard == 1
        await kernel.send(COMES)
        await trio.sleep(5)
        assert heard == 2
        nursery.cancel_scope.cancel()
    assert ours.fileno() == -1
    announcements.close()
    announcements.close()
    kernel.close()


async def test_without_announcements_nothing_is_noticed(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse() -> trio.socket.SocketType:
        raise PermissionError(1, "Operation not permitted")

    with caplog.at_level(logging.WARNING), trio.move_on_after(100) as scope:
        await Announcements(refuse).change()
    assert scope.cancelled_caught
    assert "not noticed until the next start: [Errno 1] Operation not permitted" in caplog.text


async def test_the_kernel_is_listened_to() -> None:
    try:
        made = await kernel_socket()
    except OSError as error:
        pytest.skip(f"no announcements here: {error}")
    assert made.family == trio.socket.AF_NETLINK
    made.close()

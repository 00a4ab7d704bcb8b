"""Connections on which nobody logs in are closed, with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4 import server
from tapekit_ndmp_v4.errors import NdmpReplyError
from tapekit_ndmp_v4.numbers import AuthType, ConnectionStatusReason, NdmpError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from session_stack import ServedStack

LIMIT_S = 3.0


def impatient(text: str) -> str:
    return text + f"\n[ndmp_v4]\nlogin_timeout_s = {LIMIT_S}\n"


async def test_a_client_that_never_logs_in_is_closed_whatever_it_says(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    began = trio.current_time()
    async with (
        edited_stack(impatient) as stack,
        stack.stranger() as silent,
        stack.stranger() as talker,
    ):
        await talker.open()
        with trio.fail_after(60):
            for client, greetings in ((silent, 1), (talker, 0)):
                for _ in range(greetings):
                    await client.wait_for(m.NotifyConnectionStatusPost)
                farewell = await client.wait_for(m.NotifyConnectionStatusPost)
                assert farewell.reason == ConnectionStatusReason.SHUTDOWN
                assert "nobody logged in from 127.0.0.1" in farewell.text_reason
        assert trio.current_time() - began >= LIMIT_S


async def test_one_who_has_logged_in_may_be_silent(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(impatient) as stack, stack.client() as client:
        async with stack.stranger() as stranger:
            with trio.fail_after(60):
                await stranger.wait_for(m.NotifyConnectionStatusPost)
                await stranger.wait_for(m.NotifyConnectionStatusPost)
        await client.call(m.DataGetStateRequest())


async def test_a_failed_login_takes_the_time_anew(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
) -> None:
    async with edited_stack(impatient) as stack, stack.client() as client:
        with pytest.raises(NdmpReplyError) as refused:
            await client.authenticate(AuthType.MD5, "ndmp", b"wrong")
        assert refused.value.code == NdmpError.NOT_AUTHORIZED_ERR
        with trio.fail_after(60):
            farewell = await client.wait_for(m.NotifyConnectionStatusPost)
        assert farewell.reason == ConnectionStatusReason.SHUTDOWN


@pytest.mark.parametrize("grace_s", [0.0, 3600.0])
async def test_one_who_has_not_logged_in_gives_way_when_all_sessions_are_taken(
    edited_stack: Callable[[Callable[[str], str]], AbstractAsyncContextManager[ServedStack]],
    monkeypatch: pytest.MonkeyPatch,
    grace_s: float,
) -> None:
    monkeypatch.setattr(server, "_LOGIN_GRACE_S", grace_s)
    two = "\n[ndmp_v4]\nsessions = 2\n"
    async with (
        edited_stack(lambda text: text + two) as stack,
        stack.client() as user,
        stack.stranger() as silent,
    ):
        await silent.wait_for(m.NotifyConnectionStatusPost)
        async with stack.stranger() as late:
            greeting = await late.wait_for(m.NotifyConnectionStatusPost)
        if grace_s:
            assert greeting.reason == ConnectionStatusReason.REFUSED
        else:
            assert greeting.reason == ConnectionStatusReason.CONNECTED
            farewell = await silent.wait_for(m.NotifyConnectionStatusPost)
            assert farewell.text_reason == "Others are waiting, and nobody has logged in"
        await user.call(m.DataGetStateRequest())

"""The judge of logins, in a stack without a clock of its own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tapekit.hookspecs.authentication import AccountContext, AuthMethod, LoginRefused, Principal
from tapekit.testing import check_authenticator
from tapekit_auth.accounts import NAMESPACE
from tapekit_auth.plugin import AuthPlugin

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trio.testing import MockClock

    from tapekit.hookspecs.events import Event
    from tapekit.kernel import StackKernel

USER, PASSWORD, PEER = "anna", b"Correct0Horse1Ba", "192.0.2.7"
NOW_S = 1_700_000_000.0
TABLES = """
[auth]
users = [
    {name = "anna", password_file = "password"},
    {name = "vera", password_file = "password", roles = ["vsadmin-backup"], svms = ["vs1"]},
    {name = "olga", password_file = "password", roles = ["operator"]},
    {name = "otto", password_file = "password", roles = ["onlooker"]},
]
custom_roles = [
    {name = "operator", commands = {"vserver services ndmp" = "readonly"}},
    {name = "onlooker", commands = {"vserver services ndmp" = "none"}},
]
"""


class Stack:
    """A stack with auth, and all that it announced."""

    def __init__(self, kernel: StackKernel, events: list[Event]) -> None:
        self.kernel = kernel
        self.events = events
        assert kernel.authenticator is not None
        self.judge = kernel.authenticator

    async def plaintext(self, user: str, password: bytes = PASSWORD, peer: str = PEER) -> Principal:
        return await self.judge.login_plaintext(user, password, peer)

    async def refused(self, user: str, password: bytes = b"wrong", peer: str = PEER) -> float:
        """Seconds that a refusal took."""
        before = trio.current_time()
        with pytest.raises(LoginRefused):
            await self.plaintext(user, password, peer)
        return trio.current_time() - before


@pytest.fixture
def stack(
    assembled: Callable[..., StackKernel], plugin: Callable[..., Any], tmp_path: Path
) -> Callable[..., Stack]:
    (tmp_path / "password").touch(0o600)
    (tmp_path / "password").write_bytes(PASSWORD + b"\n")

    def build(tables: str = TABLES) -> Stack:
        events: list[Event] = []
        listener = plugin("listener", tapekit_on_event=lambda self, event: events.append(event))
        return Stack(assembled(AuthPlugin, listener, tables=tables), events)

    return build


async def test_it_keeps_the_contract(
    stack: Callable[..., Stack], autojump_clock: MockClock
) -> None:
    await check_authenticator(lambda: stack().judge, user=USER, password=PASSWORD)
    assert autojump_clock.current_time() > 1


@pytest.mark.requirement("R171")
async def test_both_methods_log_in(stack: Callable[..., Stack]) -> None:
    judge = stack().judge
    assert judge.methods == {AuthMethod.PLAINTEXT, AuthMethod.CHALLENGE}
    assert (await judge.login_plaintext(USER, PASSWORD, PEER)).name == USER
    answered = await judge.login_challenge(USER, lambda known: known == PASSWORD, PEER)
    cluster = frozenset({AccountContext.CLUSTER})
    assert answered == Principal(USER, frozenset({"backup"}), contexts=cluster)


@pytest.mark.requirement("R173")
@pytest.mark.parametrize(
    ("methods", "off"),
    [('["challenge"]', AuthMethod.PLAINTEXT), ('["plaintext"]', AuthMethod.CHALLENGE)],
)
async def test_a_method_that_is_off_refuses_the_right_password(
    methods: str, off: AuthMethod, stack: Callable[..., Stack]
) -> None:
    users = '[{name = "anna", password_file = "password"}]'
    judge = stack(f"[auth]\nmethods = {methods}\nusers = {users}").judge
    assert off not in judge.methods
    logins = {
        AuthMethod.PLAINTEXT: lambda: judge.login_plaintext(USER, PASSWORD, PEER),
        AuthMethod.CHALLENGE: lambda: judge.login_challenge(USER, lambda _: True, PEER),
    }
    with pytest.raises(LoginRefused, match=off.value) as refused:
        await logins.pop(off)()
    assert refused.value.id == "auth.method-off"
    for login in logins.values():
        assert await login()


@pytest.mark.requirement("R175")
async def test_a_principal_has_its_roles_and_svms(stack: Callable[..., Stack]) -> None:
    principal = await stack().plaintext("vera")
    assert principal.roles == {"vsadmin-backup"}
    assert principal.svms == {"vs1"}


@pytest.mark.requirement("R176")
async def test_a_custom_role_logs_in_unless_its_access_is_none(
    stack: Callable[..., Stack],
) -> None:
    built = stack()
    assert (await built.plaintext("olga")).roles == {"operator"}
    with pytest.raises(LoginRefused, match="onlooker") as refused:
        await built.plaintext("otto")
    assert refused.value.id == "auth.role-refused"


async def test_the_role_is_judged_only_after_the_password(stack: Callable[..., Stack]) -> None:
    with pytest.raises(LoginRefused) as refused:
        await stack().plaintext("otto", b"wrong")
    assert refused.value.id == "auth.wrong-credentials"


async def test_unknown_user_and_wrong_password_are_told_alike(stack: Callable[..., Stack]) -> None:
    texts = []
    for user, password in ((USER, b"wrong"), ("nobody", PASSWORD)):
        with pytest.raises(LoginRefused) as refused:
            await stack().plaintext(user, password)
        texts.append(refused.value.explained.replace(user, "USER"))
    assert texts[0] == texts[1]


async def test_an_answer_is_compared_also_for_nobody(stack: Callable[..., Stack]) -> None:
    asked: list[bytes] = []

    def answers(known: bytes) -> bool:
        asked.append(known)
        return True

    judge = stack().judge
    with pytest.raises(LoginRefused):
        await judge.login_challenge("nobody", answers, PEER)
    assert len(asked) == 1
    assert await judge.login_challenge(USER, answers, PEER)


async def test_replies_wait_from_the_third_attempt_on(
    stack: Callable[..., Stack], autojump_clock: MockClock
) -> None:
    built = stack()
    waits = [round(await built.refused(USER), 3) for _ in range(9)]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 30, 30]


async def test_the_right_password_waits_as_well_and_then_starts_anew(
    stack: Callable[..., Stack], autojump_clock: MockClock
) -> None:
    built = stack()
    for _ in range(4):
        await built.refused(USER)
    before = trio.current_time()
    await built.plaintext(USER)
    assert trio.current_time() - before == pytest.approx(4)
    assert await built.refused(USER) == 0


async def test_failures_are_forgotten_after_a_quarter_of_an_hour(
    stack: Callable[..., Stack], autojump_clock: MockClock
) -> None:
    built = stack()
    for _ in range(5):
        await built.refused(USER)
    await trio.sleep(15 * 60)
    assert await built.refused(USER) == 0


async def test_attempts_made_at_once_are_counted_one_by_one(
    stack: Callable[..., Stack], autojump_clock: MockClock
) -> None:
    built = stack()
    waits: list[float] = []

    async def attempt() -> None:
        waits.append(round(await built.refused(USER), 3))

    async with trio.open_nursery() as nursery:
        for _ in range(7):
            nursery.start_soon(attempt)
    assert sorted(waits) == [0, 0, 1, 2, 4, 8, 16]


async def test_leaving_before_the_reply_does_not_undo_a_failure(
    stack: Callable[..., Stack], autojump_clock: MockClock
) -> None:
    built = stack()
    for _ in range(2):
        await built.refused(USER)
    for _ in range(3):
        with trio.move_on_after(0.01) as patience:
            await built.judge.login_plaintext(USER, b"wrong", PEER)
        assert patience.cancelled_caught
    assert await built.refused(USER) == pytest.approx(8)


async def test_an_added_user_logs_in_at_once_and_a_removed_one_does_not(
    stack: Callable[..., Stack],
) -> None:
    built = stack()
    plugin_users = built.judge._accounts.stored  # type: ignore[attr-defined]
    plugin_users.add("berta", ["backup"], ["vs2"], "Sealed0Password1")
    assert (await built.plaintext("berta", b"Sealed0Password1")).svms == {"vs2"}
    plugin_users.remove("berta")
    with pytest.raises(LoginRefused):
        await built.plaintext("berta", b"Sealed0Password1")


async def test_a_record_that_cannot_be_used_is_told_to_the_operator_alone(
    stack: Callable[..., Stack], caplog: pytest.LogCaptureFixture
) -> None:
    built = stack()
    built.kernel.state.change(NAMESPACE, {"berta": b"damaged"})
    with pytest.raises(LoginRefused) as refused:
        await built.plaintext("berta")
    assert refused.value.id == "auth.wrong-credentials"
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert ["auth.record-damaged" in record.getMessage() for record in errors] == [True]


async def test_every_judgement_is_an_event_and_a_line_without_the_secret(
    stack: Callable[..., Stack], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tapekit.auth")
    built = stack()
    await built.refused(USER, b"a wrong secret")
    await built.plaintext(USER)
    refused, accepted = built.events
    common = {"user": USER, "peer": PEER, "method": "plaintext"}
    assert refused.name == "auth.login-refused"
    assert refused.facts == common | {"reason": "auth.wrong-credentials"}
    assert accepted.name == "auth.login-accepted"
    assert accepted.facts == common
    assert refused.time_s == accepted.time_s == NOW_S
    lines = [record for record in caplog.records if record.name == "tapekit.auth"]
    assert [line.levelname for line in lines] == ["WARNING", "INFO"]
    told = caplog.text + repr(built.events)
    assert "a wrong secret" not in told
    assert PASSWORD.decode() not in told


async def test_a_name_cannot_forge_a_line_of_the_log(
    stack: Callable[..., Stack], caplog: pytest.LogCaptureFixture
) -> None:
    built = stack()
    name = "x\nWARNING forged \udcff\x1b[2J" + "y" * 10_000
    await built.refused(name)
    (record,) = [one for one in caplog.records if one.name == "tapekit.auth"]
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert len(record.getMessage()) < 200
    assert len(str(built.events[0].facts["user"])) < 100

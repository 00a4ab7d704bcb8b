"""A copy from login to end, with whatever ends it early.

Two sessions are opened, the servers say what they offer, and the client
library copies. A signal cancels that, which makes both servers idle first.
The one rule: whoever fails, the error tells what the servers say about it.
"""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.client import NdmpClient, Side, connection_types, copy_across
from tapekit_ndmp_v4.errors import NdmpReplyError, OperationFailed
from tapekit_ndmp_v4.messages import ConfigGetHostInfoRequest, LogFilePost
from tapekit_ndmp_v4.numbers import RecoveryStatus
from tapekit_ndmpcopy.address_modes import common_kinds, wanted_families
from tapekit_ndmpcopy.errors import CATALOGUE
from tapekit_ndmpcopy.order import plan_copy, plan_file_copy
from tapekit_ndmpcopy.places import Family, require_two_places_of_one_server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractAsyncContextManager

    from tapekit_ndmp_v4.client import CopyPlan, CopyResult, CopyState
    from tapekit_ndmp_v4.connection import Watcher
    from tapekit_ndmp_v4.numbers import AddrType
    from tapekit_ndmpcopy.logins import Login
    from tapekit_ndmpcopy.order import CopyOrder
    from tapekit_ndmpcopy.places import Place
    from tapekit_ndmpcopy.words import Hearing

__all__ = ["Surroundings", "run_copy"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_START_BACKUP: Final = "DATA_START_BACKUP"


class Surroundings(NamedTuple):
    """What a copy needs from outside, and who hears of it."""

    clock: Callable[[], float]
    """Seconds since 1970."""
    hearing: Hearing
    on_state: CopyState
    watchers: Mapping[Side, Watcher]
    """Who gets all messages of a side's session."""


async def run_copy(order: CopyOrder, around: Surroundings) -> CopyResult:
    """Copy, unless SIGINT or SIGTERM comes before the end.

    :raises TapekitError: it failed or was interrupted; the servers are idle.
    """
    result: CopyResult | None = None
    failure: TapekitError | None = None
    interruption: signal.Signals | None = None
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        async with trio.open_nursery() as nursery:

            async def heed() -> None:
                nonlocal interruption
                async for number in signals:
                    interruption = signal.Signals(number)
                    nursery.cancel_scope.cancel()

            nursery.start_soon(heed)
            try:
                result = await _copy(order, around)
            except TapekitError as error:
                failure = error
            nursery.cancel_scope.cancel()
    if result is not None:
        return result
    if failure is None:
        assert interruption is not None
        raise CATALOGUE.error("interrupted", signal=interruption.name)
    raise _explained(order, failure, around.hearing.complaints)


def _explained(order: CopyOrder, failure: TapekitError, complaints: str) -> TapekitError:
    """The error with what the servers say about it, if they do."""
    if not complaints:
        return failure
    explained = CATALOGUE.error(
        "copy-failed",
        source=order.source,
        destination=order.destination,
        reason=failure,
        complaints=complaints,
        remedy=failure.action,
    )
    explained.__cause__ = failure
    return explained


async def _copy(order: CopyOrder, around: Surroundings) -> CopyResult:
    ends = {
        Side.SOURCE: (order.source, order.source_login),
        Side.DESTINATION: (order.destination, order.destination_login),
    }
    families = wanted_families(order.data_family, order.source.family, order.destination.family)
    offers: dict[str, frozenset[int]] = {}
    async with AsyncExitStack() as sessions:
        clients = {}
        for side, (place, login) in ends.items():
            connecting = _connection(side, place, around)
            clients[side] = client = await sessions.enter_async_context(connecting)
            await _log_in(side, client, login, around.hearing)
            offers[side] = await connection_types(client, ipv6=Family.INET6 in families)
        kinds = common_kinds(families, offers)
        between = _Between(clients[Side.SOURCE], clients[Side.DESTINATION], around.on_state)
        if await _are_one_server(between):
            require_two_places_of_one_server(order.source, order.destination)
        return await _directory_or_file(order, kinds, between)


class _Between(NamedTuple):
    """The two sessions of a copy, logged in."""

    source: NdmpClient
    destination: NdmpClient
    on_state: CopyState


async def _are_one_server(between: _Between) -> bool:
    """Whether both sessions are with one server, as far as it tells."""
    hosts = [await _host_of(client) for client in (between.source, between.destination)]
    return hosts[0] is not None and hosts[0] == hosts[1]


async def _host_of(client: NdmpClient) -> tuple[str, str] | None:
    """A server's identity and name; ``None`` from one that has none or does
    not say. Cloned machines may share either, hardly both.
    """
    try:
        host = await client.call(ConfigGetHostInfoRequest())
    except NdmpReplyError:
        return None
    return (host.hostid, host.hostname) if host.hostid else None


async def _directory_or_file(
    order: CopyOrder, kinds: tuple[AddrType, ...], between: _Between
) -> CopyResult:
    """Copy a directory, or a file if the source refuses the path as one.

    Nothing in the protocol tells a client what a path leads to before the
    data server is asked to back it up.

    :raises TapekitError: neither can be done, with the first refusal.
    """
    source, destination, on_state = between
    try:
        return await copy_across(source, destination, plan_copy(order, kinds), on_state=on_state)
    except OperationFailed as refused:
        as_file = plan_file_copy(order, kinds) if _is_refused_by_source(refused) else None
        if as_file is None:
            raise
        try:
            return await _copy_file(order, as_file, between)
        except OperationFailed as again:
            if _is_refused_by_source(again):
                raise refused from again
            raise


async def _copy_file(order: CopyOrder, plan: CopyPlan, between: _Between) -> CopyResult:
    """Copy a single file.

    :raises TapekitError: it did not arrive.
    """
    outcomes: list[int] = []
    between.destination.on_post(LogFilePost, lambda post: outcomes.append(post.recovery_status))
    result = await copy_across(between.source, between.destination, plan, on_state=between.on_state)
    if any(outcome != RecoveryStatus.SUCCESSFUL for outcome in outcomes):
        raise CATALOGUE.error(
            "file-not-restored", source=order.source, destination=order.destination
        )
    return result


def _is_refused_by_source(failure: OperationFailed) -> bool:
    """Whether the source would not even begin to back up."""
    facts = failure.facts
    return facts.get("request") == _START_BACKUP and facts.get("side") == Side.SOURCE


def _connection(
    side: Side, place: Place, around: Surroundings
) -> AbstractAsyncContextManager[NdmpClient]:
    return NdmpClient.connect(
        place.host,
        place.port,
        clock=around.clock,
        tls=place.trust,
        watch=around.watchers.get(side),
    )


async def _log_in(side: Side, client: NdmpClient, login: Login, hearing: Hearing) -> None:
    hearing.listen_to(side, client)
    await client.open()
    try:
        await client.authenticate(login.method, login.user, login.password)
    except NdmpReplyError as refused:
        raise CATALOGUE.error(
            "login-refused",
            side=side,
            address=client.address,
            user=login.user,
            method=login.method.name,
            error=refused.facts["error"],
        ) from refused

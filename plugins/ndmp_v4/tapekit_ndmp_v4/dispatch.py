"""From a request to its reply.

The exchange table says what a request needs (a login, a state); the table
below says who answers it. A header error means that nobody looked at the
body; everything that a handler finds is an error in the body.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from tapekit.errors import TapekitError
from tapekit_ndmp_v4 import messages as m
from tapekit_ndmp_v4.connection import BadRequest, Ignored, Request
from tapekit_ndmp_v4.errors import CATALOGUE, LocalProtocolError
from tapekit_ndmp_v4.exchanges import refusal
from tapekit_ndmp_v4.handlers import config, connect, data, mover, scsi, tape
from tapekit_ndmp_v4.numbers import MoverState, NdmpError
from tapekit_ndmp_v4.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tapekit_ndmp_v4.connection import Event, NdmpConnection
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.hookspecs import ExtensionHandler
    from tapekit_ndmp_v4.outbox import Outbox
    from tapekit_ndmp_v4.session import Session
    from tapekit_ndmp_v4.wire import Message

__all__ = ["HANDLERS", "answer"]

_LOG: Final = logging.getLogger("tapekit.ndmp_v4")

HANDLERS: Final[Mapping[type[Message], Callable[[Session, Any], Awaitable[Message]]]] = {
    m.ConnectOpenRequest: connect.open_version,
    m.ConnectClientAuthRequest: connect.client_auth,
    m.ConfigGetHostInfoRequest: config.get_host_info,
    m.ConfigGetServerInfoRequest: config.get_server_info,
    m.ConfigGetConnectionTypeRequest: config.get_connection_type,
    m.ConfigGetAuthAttrRequest: config.get_auth_attr,
    m.ConfigGetButypeInfoRequest: config.get_butype_info,
    m.ConfigGetFsInfoRequest: config.get_fs_info,
    m.ConfigGetTapeInfoRequest: config.get_tape_info,
    m.ConfigGetScsiInfoRequest: config.get_scsi_info,
    m.ConfigGetExtListRequest: config.get_ext_list,
    m.ConfigSetExtListRequest: config.set_ext_list,
    m.ScsiOpenRequest: scsi.open_device,
    m.ScsiCloseRequest: scsi.close,
    m.ScsiGetStateRequest: scsi.get_state,
    m.ScsiResetDeviceRequest: scsi.reset_device,
    m.ScsiExecuteCdbRequest: scsi.execute_cdb,
    m.TapeOpenRequest: tape.open_device,
    m.TapeCloseRequest: tape.close,
    m.TapeGetStateRequest: tape.get_state,
    m.TapeMtioRequest: tape.move,
    m.TapeWriteRequest: tape.write,
    m.TapeReadRequest: tape.read,
    m.TapeExecuteCdbRequest: tape.execute_cdb,
    m.DataGetStateRequest: data.get_state,
    m.DataListenRequest: data.listen,
    m.DataConnectRequest: data.connect,
    m.DataStartBackupRequest: data.start_backup,
    m.DataStartRecoverRequest: data.start_recover,
    m.DataAbortRequest: data.abort,
    m.DataStopRequest: data.stop,
    m.DataGetEnvRequest: data.get_env,
    m.MoverGetStateRequest: mover.get_state,
    m.MoverListenRequest: mover.listen,
    m.MoverConnectRequest: mover.connect,
    m.MoverSetRecordSizeRequest: mover.set_record_size,
    m.MoverSetWindowRequest: mover.set_window,
    m.MoverReadRequest: mover.read,
    m.MoverContinueRequest: mover.continue_,
    m.MoverAbortRequest: mover.abort,
    m.MoverCloseRequest: mover.close,
    m.MoverStopRequest: mover.stop,
}
"""Who answers what. A request without a row is not supported here."""


async def answer(session: Session, wire: NdmpConnection, outbox: Outbox, event: Event) -> bool:
    """Answer one event of a connection.

    :returns: whether the conversation goes on.
    """
    match event:
        case Request(body=m.ConnectCloseRequest()):
            return False
        case Request():
            await _answer_request(session, wire, outbox, event)
        case BadRequest(error=error, reason=reason):
            _LOG.warning("%s: header error %s: %s", session.link.name, error.name, reason)
            outbox.put(wire.send_header_error(event, error))
        case Ignored(reason=reason):
            _LOG.info("%s: ignored a message: %s", session.link.name, reason)
    return True


async def _answer_request(
    session: Session, wire: NdmpConnection, outbox: Outbox, request: Request
) -> None:
    if not isinstance(request.body, m.ConnectOpenRequest):
        session.opened()
    refused = _header_error(session, request.exchange)
    if refused is not None:
        outbox.put(wire.send_header_error(request, refused))
        return
    try:
        reply = await _reply(session, request)
    except Refused as refusal_:
        if refusal_.error is not None:
            _LOG.warning(
                "%s: %s refused: %s", session.link.name, request.exchange.name, refusal_.error
            )
            session.link.log_error(refusal_.error)
        reply = refusal(request.exchange, refusal_.code)
    outbox.put(_encoded(session, wire, request, reply))
    session.reply_is_queued()


def _encoded(session: Session, wire: NdmpConnection, request: Request, reply: Message) -> bytes:
    """A reply as bytes; one that no message can hold ends one request, not the session."""
    try:
        return wire.send_reply(request, reply)
    except LocalProtocolError as error:
        _LOG.error("%s: %s", session.link.name, error)
        session.link.log_error(error)
        return wire.send_reply(request, refusal(request.exchange, NdmpError.UNDEFINED_ERR))


def _header_error(session: Session, exchange: Exchange) -> NdmpError | None:
    """Why nobody looks at the body of a request, if so."""
    if _handler(session, exchange.request) is None:
        return NdmpError.NOT_SUPPORTED_ERR
    if exchange.needs_authentication and session.principal is None:
        return NdmpError.NOT_AUTHORIZED_ERR
    return None


def _handler(session: Session, kind: type[Message]) -> ExtensionHandler | None:
    """Who answers a kind of request: NDMP v4's own table, or an extension."""
    own = HANDLERS.get(kind)
    return session.extensions.handler(kind) if own is None else functools.partial(own, session)


def _need_legal_state(session: Session, exchange: Exchange) -> None:
    mover_state = session.mover.state if session.mover is not None else MoverState.IDLE
    if not exchange.is_legal(session.data.state, mover_state):
        raise Refused(NdmpError.ILLEGAL_STATE_ERR)


async def _reply(session: Session, request: Request) -> Message:
    handler = _handler(session, type(request.body))
    assert handler is not None, "a request without one has got a header error"
    elsewhere = session.extensions.elsewhere(request.body, handler)
    if elsewhere is None:
        _need_legal_state(session, request.exchange)
    try:
        return await (elsewhere or handler)(request.body)
    except Refused:
        raise
    except TapekitError as error:
        raise Refused(NdmpError.UNDEFINED_ERR, error) from error
    except Exception as error:  # a defect ends one request, not the session
        _LOG.exception("%s: %s failed", session.link.name, request.exchange.name)
        raise Refused(NdmpError.UNDEFINED_ERR, CATALOGUE.error("internal-error")) from error

"""CONNECT: versions and logins (NDMP v4, interface 0x900)."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from tapekit.hookspecs.authentication import AuthMethod, LoginRefused, Principal
from tapekit_ndmp_v4.digest import digest_matches
from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.messages import (
    AuthMd5,
    AuthNone,
    AuthText,
    ConnectClientAuthReply,
    ConnectClientAuthRequest,
    ConnectOpenReply,
    ConnectOpenRequest,
)
from tapekit_ndmp_v4.numbers import NDMP_VERSION, NdmpError
from tapekit_ndmp_v4.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_ndmp_v4.messages import AuthData
    from tapekit_ndmp_v4.session import Session

__all__ = ["client_auth", "open_version"]


_METHODS: Final[Mapping[type[AuthData], AuthMethod]] = {
    AuthNone: AuthMethod.NONE,
    AuthText: AuthMethod.PLAINTEXT,
    AuthMd5: AuthMethod.CHALLENGE,
}


async def open_version(session: Session, request: ConnectOpenRequest) -> ConnectOpenReply:
    """CONNECT_OPEN: version 4 or nothing."""
    if request.protocol_version != NDMP_VERSION:
        error = CATALOGUE.error("invalid-version-number", version_number=request.protocol_version)
        raise Refused(NdmpError.ILLEGAL_ARGS_ERR, error)
    session.opened()
    return ConnectOpenReply(error=NdmpError.NO_ERR)


async def client_auth(
    session: Session, request: ConnectClientAuthRequest
) -> ConnectClientAuthReply:
    """CONNECT_CLIENT_AUTH: judge a login; a failed one logs the session out."""
    session.log_out()
    try:
        principal = await _judge(session, request)
    except LoginRefused as error:
        raise Refused(NdmpError.NOT_AUTHORIZED_ERR, error) from None
    session.permit_login(principal)
    if session.leads_nowhere(principal):
        nowhere = CATALOGUE.error(
            "no-svm-in-common", user=principal.name, address=session.link.local_host
        )
        raise Refused(NdmpError.NOT_AUTHORIZED_ERR, nowhere)
    method = _METHODS[type(request.auth_data)]
    if session.is_closed_to(principal, method):
        closed = CATALOGUE.error("auth-type-off-for-user", user=principal.name, method=method.value)
        raise Refused(NdmpError.NOT_AUTHORIZED_ERR, closed)
    session.log_in(principal, method)
    return ConnectClientAuthReply(error=NdmpError.NO_ERR)


async def _judge(session: Session, request: ConnectClientAuthRequest) -> Principal:
    authenticator = session.kernel.authenticator
    peer = session.peer.host
    match request.auth_data:
        case AuthNone() if AuthMethod.NONE in session.auth_methods:
            return Principal("anonymous")
        case AuthText(auth_id=user, auth_password=password) if (
            authenticator is not None and AuthMethod.PLAINTEXT in session.auth_methods
        ):
            secret = password.encode("utf-8", "surrogateescape")
            return await authenticator.login_plaintext(user, secret, peer)
        case AuthMd5(auth_id=user, auth_digest=digest) if (
            authenticator is not None and AuthMethod.CHALLENGE in session.auth_methods
        ):
            challenge = session.take_challenge()
            if challenge is None:
                raise Refused(NdmpError.NOT_AUTHORIZED_ERR, CATALOGUE.error("no-challenge-asked"))
            answers = functools.partial(digest_matches, challenge, digest)
            return await authenticator.login_challenge(user, answers, peer)
        case _:
            raise session.method_refusal()

"""Errors of this plugin: its catalogue and the classes callers react to.

A :class:`RemoteProtocolError` is the peer's fault, a
:class:`LocalProtocolError` ours; the distinction decides which end is to be
looked at. Every row stands in ``errors.toml`` beside this module.
"""

from __future__ import annotations

from typing import Final, final

from tapekit.errors import Catalogue, TapekitError

__all__ = ["CATALOGUE", "LocalProtocolError", "RemoteProtocolError"]

CATALOGUE: Final = Catalogue.of("ndmp_v4", "tapekit_ndmp_v4")


@final
class RemoteProtocolError(TapekitError):
    """The peer has sent what NDMP does not allow.

    If it comes out of the connection, the byte stream is lost: close it.
    """


@final
class LocalProtocolError(TapekitError):
    """We tried to send what NDMP does not allow; nothing was sent."""

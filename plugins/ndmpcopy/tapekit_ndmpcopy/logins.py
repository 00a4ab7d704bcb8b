"""Who logs in where, and where the password comes from.

A password may stand on the command line, as the guide has it, but everybody
on the machine can read it there: a private file or a prompt is better. The
one rule: a password goes to the server that it is for and nowhere else.
"""

from __future__ import annotations

import enum
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, final

import msgspec

from tapekit_ndmp_v4.numbers import AuthType
from tapekit_ndmpcopy.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Ask", "AuthWord", "Login", "LoginOptions", "read_login"]

Ask: TypeAlias = "Callable[[str], str]"
"""Asks a person for a password; gets the text of the prompt."""

_NOT_FOR_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class AuthWord(enum.StrEnum):
    """An authentication type, as the options have it."""

    MD5 = "md5"
    TEXT = "text"


_METHODS: Final = {AuthWord.MD5: AuthType.MD5, AuthWord.TEXT: AuthType.TEXT}


@final
class LoginOptions(msgspec.Struct, frozen=True):
    """What the command line says of one end's login."""

    side: str
    """``source`` or ``destination``."""
    text: str
    """``user:[password]``"""
    method: AuthWord
    password_file: Path | None = None
    prompts: bool = False
    """Whether the password is to be asked for, whatever else there is."""


@final
class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A login that is ready for use."""

    user: str
    password: bytes
    method: AuthType

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, method={self.method!r})"


def read_login(options: LoginOptions, ask: Ask | None) -> Login:
    """Find the password: asked for, from the file, or from the command line.

    :param ask: asks a person, or ``None`` if nobody is at a terminal.
    :raises TapekitError: there is no user, no password, or no terminal.
    """
    user, _, given = options.text.partition(":")
    if not user:
        raise CATALOGUE.error("no-user", side=options.side)
    return Login(
        user=user,
        password=_password(options, user, given, ask),
        method=_METHODS[options.method],
    )


def _password(options: LoginOptions, user: str, given: str, ask: Ask | None) -> bytes:
    if options.password_file is not None and not options.prompts:
        return _from_file(options.password_file)
    if given and not options.prompts:
        return _encoded(given)
    if ask is not None:
        return _encoded(ask(f"NDMP password of {user} at the {options.side}"))
    if options.prompts:
        raise CATALOGUE.error("no-terminal")
    raise CATALOGUE.error("no-password", user=user, side=options.side)


def _from_file(file: Path) -> bytes:
    """The first line of a file that only its owner can read."""
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & _NOT_FOR_OTHERS:
                raise CATALOGUE.error("password-file-exposed", file=file)
            password = opened.readline().rstrip(b"\r\n")
    except OSError as error:
        raise CATALOGUE.error(
            "password-file-unreadable", file=file, reason=error.strerror
        ) from error
    if not password:
        raise CATALOGUE.error("password-file-unreadable", file=file, reason="it is empty")
    return password


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")

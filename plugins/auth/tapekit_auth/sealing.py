"""Passwords under seal: AES-GCM with a key from a file.

NDMP's challenge needs the password itself, so it cannot be kept as a
digest. A seal is bound to the user's name, roles and SVMs: none of them can
be changed, and no seal moved to another user, without the key. The one
rule: a key is made only where nothing has been sealed yet, since a new one
opens nothing old.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from typing import TYPE_CHECKING, Final, final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tapekit_auth.errors import CATALOGUE
from tapekit_auth.secret_files import create_secret, read_secret

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["BrokenSeal", "KeyFile", "Sealer"]

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
"""The length that GCM is made for (NIST SP 800-38D)."""


class BrokenSeal(Exception):
    """The key is another one, or the seal or what it is bound to changed."""


@final
class Sealer:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher: Final = AESGCM(key)

    @classmethod
    def with_new_key(cls) -> Sealer:
        """A sealer whose key nobody else will ever have."""
        return cls(secrets.token_bytes(_KEY_BYTES))

    def seal(self, secret: bytes, bound_to: bytes) -> bytes:
        """The secret under seal, different each time."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, bound_to)

    def unseal(self, sealed: bytes, bound_to: bytes) -> bytes:
        """The secret.

        :raises BrokenSeal: this is not what was sealed.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise BrokenSeal from None


@final
class KeyFile:
    """A key in a file, as 64 hexadecimal digits, read when first needed."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._sealer: Sealer | None = None

    def sealer(self, *, may_make: bool = False) -> Sealer:
        """The sealer with this key.

        :param may_make: make a new key if there is no file.
        :raises TapekitError: the file is missing, unusable or not the
            owner's alone.
        """
        if self._sealer is None:
            self._sealer = Sealer(self._key(may_make=may_make))
        return self._sealer

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody else from changing what is sealed with the key, in
        this process and in others; without the file there is nothing to keep.

        :raises TapekitError: the file cannot be opened.
        """
        with contextlib.ExitStack() as stack:
            try:
                opened = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, opened)
                fcntl.flock(opened, fcntl.LOCK_EX)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise CATALOGUE.error(
                    "secret-unreadable", file=self.path, reason=error.strerror
                ) from error
            yield

    def _key(self, *, may_make: bool) -> bytes:
        if not self.path.exists():
            if not may_make:
                raise CATALOGUE.error("key-missing", file=self.path)
            # Another process may be first; then the key is that one's.
            create_secret(self.path, secrets.token_hex(_KEY_BYTES).encode() + b"\n")
        try:
            key = bytes.fromhex(read_secret(self.path).decode("ascii"))
        except ValueError:
            raise CATALOGUE.error("key-unusable", file=self.path) from None
        if len(key) != _KEY_BYTES:
            raise CATALOGUE.error("key-unusable", file=self.path)
        return key

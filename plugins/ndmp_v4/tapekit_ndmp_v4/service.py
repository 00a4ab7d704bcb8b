"""Whether NDMP is served: by this node, by each storage virtual machine, now.

What an administrator switches is remembered over restarts, apart from a
service that was stopped for the time being. Answers come from memory, since
sessions ask on their way; the one rule is that a change is durable before it
is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit.hookspecs.authentication import AuthMethod
from tapekit_ndmp_v4.errors import CATALOGUE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tapekit.errors import TapekitError
    from tapekit.hookspecs.state import StateStore

__all__ = ["ServiceSwitch"]

_NAMESPACE: Final = "ndmp_v4.service"
_NODE: Final = "node"
_SESSIONS: Final = "sessions"
_SVM: Final = "svm/"
_EXTENSION: Final = "extension/"
_CLEAR_TEXT: Final = "clear-text"
_AUTHTYPE: Final = "authtype/"
_OFF: Final = b"off"


@final
class ServiceSwitch:
    """What is on and what is off."""

    def __init__(
        self, state: StateStore, svm_methods: frozenset[AuthMethod] = frozenset(AuthMethod)
    ) -> None:
        """:param svm_methods: how those who use a storage virtual machine may
        have logged in until an administrator says otherwise.
        """
        self._state: Final = state
        self._svm_methods: Final = svm_methods
        self._changed: Mapping[str, bytes] = {}
        self._changing: Final = trio.Lock()
        self.is_running = True
        """Whether the service runs; each start of the stack starts it."""

    def load(self) -> None:
        """Read what is remembered; blocks."""
        self._changed = dict(self._state.items(_NAMESPACE))

    @property
    def is_enabled(self) -> bool:
        """Whether the node is to serve; as long as nobody says no."""
        return _NODE not in self._changed

    @property
    def sessions(self) -> int | None:
        """The limit of sessions that an administrator has set."""
        value = self._changed.get(_SESSIONS)
        return None if value is None else int(value)

    def serves(self, svm: str) -> bool:
        """Whether a storage virtual machine is served."""
        return _SVM + svm not in self._changed

    def offers(self, class_id: int) -> bool:
        """Whether an extension may be offered."""
        return f"{_EXTENSION}{class_id:#x}" not in self._changed

    @property
    def takes_clear_text(self) -> bool:
        """Whether the node takes logins by plaintext password."""
        return _CLEAR_TEXT not in self._changed

    def methods(self, svm: str) -> frozenset[AuthMethod]:
        """How those who use a storage virtual machine may have logged in."""
        value = self._changed.get(_AUTHTYPE + svm)
        return (self._svm_methods if value is None else _methods(value)) | {AuthMethod.NONE}

    @property
    def methods_of_any(self) -> frozenset[AuthMethod]:
        """How those who use any storage virtual machine may have logged in."""
        values = (value for key, value in self._changed.items() if key.startswith(_AUTHTYPE))
        return self._svm_methods.union({AuthMethod.NONE}, *map(_methods, values))

    def refusal(self) -> TapekitError | None:
        """Why no session can be opened now, if so."""
        if not self.is_enabled:
            return CATALOGUE.error("service-off")
        if not self.is_running:
            return CATALOGUE.error("service-stopped")
        return None

    async def enable(self, *, is_on: bool) -> None:
        """Switch the node on or off, for sessions to come."""
        await self._remember(_NODE, None if is_on else _OFF)

    async def enable_svm(self, svm: str, *, is_on: bool) -> None:
        """Switch a storage virtual machine on or off."""
        await self._remember(_SVM + svm, None if is_on else _OFF)

    async def enable_extension(self, class_id: int, *, is_on: bool) -> None:
        """Offer an extension or not, to sessions to come."""
        await self._remember(f"{_EXTENSION}{class_id:#x}", None if is_on else _OFF)

    async def take_clear_text(self, *, is_on: bool) -> None:
        """Take logins by plaintext password or not, in sessions to come."""
        await self._remember(_CLEAR_TEXT, None if is_on else _OFF)

    async def limit_methods(self, svm: str, methods: Collection[AuthMethod]) -> None:
        """Say how those who use a storage virtual machine must have logged in."""
        words = ",".join(sorted(method.value for method in methods))
        await self._remember(_AUTHTYPE + svm, words.encode())

    async def limit_sessions(self, sessions: int | None) -> None:
        """Set the limit of sessions; ``None`` is that of the stack file."""
        await self._remember(_SESSIONS, None if sessions is None else str(sessions).encode())

    async def _remember(self, key: str, value: bytes | None) -> None:
        """:raises TapekitError: the state cannot be written; nothing changed."""
        async with self._changing:
            await trio.to_thread.run_sync(self._state.change, _NAMESPACE, {key: value})
            changed = dict(self._changed)
            if value is None:
                changed.pop(key, None)
            else:
                changed[key] = value
            self._changed = changed


def _methods(value: bytes) -> frozenset[AuthMethod]:
    return frozenset(map(AuthMethod, value.decode().split(",")))

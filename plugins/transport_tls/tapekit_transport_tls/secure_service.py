"""For which storage virtual machines secure control connections are on.

The settings say how it is at first; what an administrator switches is
remembered over restarts and comes before the settings. Answers come from
memory, as every connection asks. The one rule: a change is durable before it
is true.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import trio

from tapekit_transport_tls.settings import ALL_SVMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tapekit.hookspecs.lifecycle import Kernel

__all__ = ["SecureService"]

_NAMESPACE: Final = "transport_tls.service"
_SVM: Final = "svm/"
_ON: Final = b"on"
_OFF: Final = b"off"


@final
class SecureService:
    """What is on and what is off."""

    def __init__(self, initial: Sequence[str]) -> None:
        """:param initial: names of storage virtual machines; "*" means all."""
        self._initial: Final = frozenset(initial)
        self._kernel: Kernel | None = None
        self._known: frozenset[str] = frozenset()
        self._changed: dict[str, bool] = {}

    def use(self, kernel: Kernel) -> None:
        """Have a stack, with its state and its volumes."""
        self._kernel = kernel

    def load(self) -> None:
        """Read what is remembered, and which storage virtual machines there
        are; blocks.

        :raises TapekitError: the state cannot be read.
        """
        if self._kernel is None:
            return
        rows = self._kernel.state.items(_NAMESPACE)
        self._changed = {key.removeprefix(_SVM): value == _ON for key, value in rows.items()}
        storage = self._kernel.storage
        volumes = () if storage is None else storage.filesystems()
        self._known = frozenset(row.path.split("/")[1] for row in volumes)

    def is_on(self, svm: str) -> bool:
        """Whether a storage virtual machine takes secure connections."""
        return self._changed.get(svm, bool(self._initial & {svm, ALL_SVMS}))

    @property
    def is_anywhere_on(self) -> bool:
        """Whether there is anybody to listen for."""
        return self.svms is None or bool(self.svms)

    @property
    def svms(self) -> frozenset[str] | None:
        """The storage virtual machines to which a connection leads; ``None``
        means all that there are and will be.
        """
        names = (self._known | self._initial | self._changed.keys()) - {ALL_SVMS}
        on = frozenset(filter(self.is_on, names))
        return None if ALL_SVMS in self._initial and on == names else on

    async def switch(self, svm: str, *, is_on: bool) -> None:
        """Remember a change.

        :raises TapekitError: the state cannot be written; nothing changed.
        """
        if self._kernel is not None:
            value = _ON if is_on else _OFF
            change = self._kernel.state.change
            await trio.to_thread.run_sync(change, _NAMESPACE, {_SVM + svm: value})
        self._changed = {**self._changed, svm: is_on}

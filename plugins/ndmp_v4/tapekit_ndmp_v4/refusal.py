"""How a handler says no: with an error code for the reply's body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tapekit.errors import TapekitError
    from tapekit_ndmp_v4.numbers import NdmpError

__all__ = ["Refused"]


class Refused(Exception):
    """A request cannot be done; nothing has changed.

    The protocol has few codes, so ``error`` tells the operator what the code
    cannot: it goes out as a LOG_MESSAGE. Extensions have codes of their own
    besides.
    """

    def __init__(self, code: NdmpError | int, error: TapekitError | None = None) -> None:
        super().__init__(code, error)
        self.code: Final = code
        self.error: Final = error

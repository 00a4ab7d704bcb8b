"""The vocabulary of message annotations: an annotation is a wire format.

Each alias tells the codec how a field looks in XDR and the reader what it
means. Every string, opaque and array carries its largest length here or at
its field; a type without one has no XDR form, so that no count that a peer
sends can cost more than its message.
"""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Annotated,
    Final,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
    dataclass_transform,
)

import msgspec
from msgspec import Meta

from tapekit_ndmp_v4 import numbers

if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "I16",
    "TEXT_BYTES",
    "U8",
    "U16",
    "U32",
    "U64",
    "AddrTypeCode",
    "AuthTypeCode",
    "ConnectionStatusCode",
    "DataHaltCode",
    "DataOperationCode",
    "DataStateCode",
    "Digest",
    "ErrorCode",
    "FileTypeCode",
    "FsTypeCode",
    "HasAssociatedCode",
    "LogTypeCode",
    "Message",
    "MessageTypeCode",
    "MoverHaltCode",
    "MoverModeCode",
    "MoverPauseCode",
    "MoverStateCode",
    "MtioOpCode",
    "Pair",
    "PairList",
    "RecoveryStatusCode",
    "RequestBody",
    "TapeOpenModeCode",
    "Text",
    "Value",
]

U8: TypeAlias = Annotated[int, Meta(ge=0, le=2**8 - 1, extra={"xdr": "I"})]
"""XDR has no short form: 4 bytes on the wire, like all up to :data:`U32`."""
U16: TypeAlias = Annotated[int, Meta(ge=0, le=2**16 - 1, extra={"xdr": "I"})]
I16: TypeAlias = Annotated[int, Meta(ge=-(2**15), le=2**15 - 1, extra={"xdr": "i"})]
U32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1, extra={"xdr": "I"})]
U64: TypeAlias = Annotated[int, Meta(ge=0, extra={"xdr": "Q"})]
"""8 bytes. The codec knows the upper bound; annotations stop at 2**63."""

TEXT_BYTES: Final = 8192

Text: TypeAlias = Annotated[str, Meta(max_length=TEXT_BYTES)]
"""A name, a path or a sentence, at most 8 KiB of UTF-8. Other bytes travel
as surrogate escapes."""
Value: TypeAlias = Annotated[str, Meta(max_length=65536)]
"""The value of an environment variable: lists of names fit in 64 KiB."""

Digest: TypeAlias = Annotated[bytes, Meta(min_length=16, max_length=16)]


class Pair(NamedTuple):
    """A name and its value (NDMP v4, pval); equal to a plain tuple."""

    name: Text
    value: Value


PairList: TypeAlias = Annotated[tuple[Pair, ...], Meta(max_length=4096)]

# Peers send numbers that this document does not know, and expect an answer
# rather than a decoding error: such a field holds the plain integer, so a
# reader that needs a member asks isinstance(value, MoverMode).
MessageTypeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.MessageType})]
ErrorCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.NdmpError})]
AuthTypeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.AuthType})]
AddrTypeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.AddrType})]
TapeOpenModeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.TapeOpenMode})]
MtioOpCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.MtioOp})]
DataOperationCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.DataOperation})]
DataStateCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.DataState})]
DataHaltCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.DataHaltReason})]
MoverModeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.MoverMode})]
MoverStateCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.MoverState})]
MoverPauseCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.MoverPauseReason})]
MoverHaltCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.MoverHaltReason})]
ConnectionStatusCode: TypeAlias = Annotated[
    int, Meta(extra={"xdr": numbers.ConnectionStatusReason})
]
LogTypeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.LogType})]
HasAssociatedCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.HasAssociated})]
RecoveryStatusCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.RecoveryStatus})]
FsTypeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.FsType})]
FileTypeCode: TypeAlias = Annotated[int, Meta(extra={"xdr": numbers.FileType})]


class _MessageMeta(msgspec.StructMeta):
    """Makes every message frozen and keyword-only without saying so."""

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **options: Any
    ) -> _MessageMeta:
        options.setdefault("frozen", True)
        options.setdefault("kw_only", True)
        return super().__new__(mcls, name, bases, namespace, **options)


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Message(msgspec.Struct, metaclass=_MessageMeta, frozen=True, kw_only=True):
    """A body, or a structure within one; its fields in wire order.

    The default of a field is what a refusal puts there instead of zero.
    """


R = TypeVar("R", bound=Message)


class RequestBody(Message, Generic[R]):
    """The body of a request; its parameter is the type of the reply, for
    type checkers alone.
    """

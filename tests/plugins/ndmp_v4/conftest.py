"""Messages out of nothing, vectors from files, and a peer that follows a script."""

from __future__ import annotations

import functools
import json
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import msgspec.inspect as mi
import pytest
import trio
import trio.testing
from hypothesis import strategies as st

from tapekit_ndmp_v4 import messages
from tapekit_ndmp_v4.client import NdmpClient
from tapekit_ndmp_v4.connection import NdmpConnection, Request, Role
from tapekit_ndmp_v4.messages import Message

if TYPE_CHECKING:
    import enum
    from collections.abc import Callable

VECTORS: Final = Path(__file__).parents[2] / "vectors" / "ndmp_v4"
CLOCK_S: Final = 0x6500_0000


class Vector(msgspec.Struct):
    """A message as bytes and as values, and where it comes from."""

    provenance: str
    fragments: list[int]
    hex: list[str]
    header: dict[str, int]
    type: str | None
    body: dict[str, Any] | None
    name: str = ""

    @property
    def data(self) -> bytes:
        return bytes.fromhex("".join(self.hex).replace(" ", ""))


def read_vectors() -> list[Vector]:
    vectors = []
    for file in sorted(VECTORS.glob("*.json")):
        vector = msgspec.convert(json.loads(file.read_text("utf-8")), Vector)
        vector.name = file.stem
        vectors.append(vector)
    return vectors


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vector" in metafunc.fixturenames:
        metafunc.parametrize("vector", read_vectors(), ids=lambda vector: vector.name)
    if "message_type" in metafunc.fixturenames:
        metafunc.parametrize("message_type", message_types(), ids=lambda kind: kind.__name__)


def message_types() -> list[type[Message]]:
    """Every structure of the protocol, in the order of its names."""
    named = (getattr(messages, name) for name in messages.__all__)
    kinds = [kind for kind in named if isinstance(kind, type) and issubclass(kind, Message)]
    return [kind for kind in kinds if kind is not Message]


@functools.cache
def messages_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    """Values of a structure, each field over all that its annotation allows."""
    return _values(mi.type_info(kind))


def _values(kind: mi.Type) -> st.SearchStrategy[Any]:
    match kind:
        case mi.Metadata(type=mi.IntType(), extra={"xdr": type() as members}):
            return st.sampled_from(members) | _unknown_numbers(members)
        case mi.Metadata(type=mi.IntType() as bounds):
            high = 2**64 - 1 if bounds.le is None else bounds.le
            return st.integers(bounds.ge, high) | st.sampled_from([bounds.ge, high])
        case mi.StrType(max_length=int(limit)):
            return st.binary(max_size=min(limit, 40)).map(
                lambda raw: raw.decode("utf-8", "surrogateescape")
            )
        case mi.BytesType(min_length=least, max_length=int(limit)):
            return st.binary(min_size=least or 0, max_size=min(limit, 64))
        case mi.VarTupleType(item_type=item):
            return st.lists(_values(item), max_size=3).map(tuple)
        case mi.StructType(cls=cls, fields=fields):
            return st.builds(cls, **{field.name: _values(field.type) for field in fields})
        case mi.NamedTupleType(cls=cls, fields=fields):
            return st.builds(cls, *(_values(field.type) for field in fields))
        case mi.UnionType(types=types):
            return st.one_of(*map(_values, types))
        case _:
            raise TypeError(kind)


def _unknown_numbers(members: type[enum.IntEnum]) -> st.SearchStrategy[int]:
    known = set(members)
    return st.integers(0, 2**32 - 1).filter(lambda number: number not in known)


@pytest.fixture(scope="session")
def any_message() -> Callable[[type[Message]], st.SearchStrategy[Message]]:
    """A strategy for the values of a message type."""
    return messages_of


@pytest.fixture(scope="session")
def message_kinds() -> list[type[Message]]:
    """Every structure of the protocol."""
    return message_types()


class Dialogue:
    """The server's side of a session, as a script.

    :meth:`expect` and :meth:`post` write it; :meth:`run` plays it against
    what a client sends. A request that differs from the script fails with
    both, and so does a script that has not been played to its end.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.wire = NdmpConnection(Role.SERVER, clock=lambda: CLOCK_S)
        self._script: deque[tuple[Message, Callable[[Request], bytes]] | bytes | None] = deque()
        self.said_goodbye = False

    def expect(self, request: Message, reply: Message | None = None, *posts: Message) -> None:
        """The client asks this; answer so, and then post."""

        def answer(event: Request) -> bytes:
            replied = b"" if reply is None else self.wire.send_reply(event, reply)
            return replied + b"".join(map(self.wire.send_post, posts))

        self._script.append((request, answer))

    def refuse_unread(self, request: Message, error: Any) -> None:
        """The client asks this; answer with a header error."""
        self._script.append((request, lambda event: self.wire.send_header_error(event, error)))

    def answer_with(self, request: Message, answer: Callable[[Request], bytes]) -> None:
        """The client asks this; send what the function makes of it."""
        self._script.append((request, answer))

    def post(self, *posts: Message) -> None:
        """Say this unasked, once the script is here."""
        self._script.append(b"".join(map(self.wire.send_post, posts)))

    def send(self, data: bytes) -> None:
        """Send these bytes, once the script is here."""
        self._script.append(data)

    def hang_up(self) -> None:
        """Close the connection, once the script is here."""
        self._script.append(None)

    async def run(self) -> None:
        """Play the script to its end, then hear the client out."""
        while self._script:
            step = self._script.popleft()
            if step is None:
                await self._stream.aclose()
                return
            if isinstance(step, bytes):
                await self._stream.send_all(step)
                continue
            expected, answer = step
            event = await self._next_request(expected)
            assert event.body == expected, f"expected {expected}, got {event.body}"
            await self._stream.send_all(answer(event))
        await self._hear_out()

    async def _next_request(self, expected: Message) -> Request:
        while (event := self.wire.next_event()) is None:
            data = await self._stream.receive_some()
            assert data, f"the client hung up where the script has {expected}"
            self.wire.receive_data(bytes(data))
        assert isinstance(event, Request), event
        return event

    async def _hear_out(self) -> None:
        """Wait for the client to say goodbye or hang up, and nothing else."""
        while data := await self._stream.receive_some():
            self.wire.receive_data(bytes(data))
            while (event := self.wire.next_event()) is not None:
                assert isinstance(event, Request), event
                assert isinstance(event.body, messages.ConnectCloseRequest), (
                    f"the script is over, and the client says {event.body}"
                )
                self.said_goodbye = True
                await self._stream.aclose()
                return
        await self._stream.aclose()


class Scene:
    """A client and its scripted peer, joined by a wire in memory."""

    def __init__(self) -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        self.client = NdmpClient(ours, address="memory", clock=lambda: CLOCK_S)
        self.dialogue = Dialogue(theirs)


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def other_scene() -> Scene:
    return Scene()


@pytest.fixture
def dialogue_on() -> Callable[[trio.abc.Stream], Dialogue]:
    """Begins a script on a stream."""
    return Dialogue

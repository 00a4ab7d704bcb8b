"""What may be offered as an extension, and what a session may choose."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tapekit.errors import TapekitError
from tapekit_ndmp_v4.exchanges import Exchange
from tapekit_ndmp_v4.extensions import SessionExtensions, joined
from tapekit_ndmp_v4.hookspecs import ChosenExtension, Extension
from tapekit_ndmp_v4.messages import ClassVersion, ClassVersions
from tapekit_ndmp_v4.numbers import AddrType, NdmpError
from tapekit_ndmp_v4.plugin import NdmpV4Plugin
from tapekit_ndmp_v4.refusal import Refused
from tapekit_ndmp_v4.settings import NdmpV4Settings
from tapekit_ndmp_v4.wire import ErrorCode, Message, RequestBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tapekit_ndmp_v4.hookspecs import ExtensionHandler


class PingRequest(RequestBody["PingReply"]):
    """Ask whether somebody is there."""


class PingReply(Message):
    """Somebody is."""

    error: ErrorCode


PING = Exchange(0x2222_0001, "TEST_PING", PingRequest, PingReply)


class NotingExtension(ChosenExtension):
    """Notes what happens to it."""

    notes: list[str]

    def __init__(self, session: Any, version: int) -> None:
        super().__init__(session, version)
        self.notes = session.notes
        self.notes.append(f"begun with {version}")

    def handlers(self) -> Mapping[type[Message], ExtensionHandler]:
        async def ping(_request: PingRequest) -> PingReply:
            return PingReply(error=NdmpError.NO_ERR)

        return {PingRequest: ping}

    def address_kinds(self) -> set[AddrType]:
        return {AddrType.IPC}

    def permit_connection(self, kind: AddrType) -> None:
        self.notes.append(f"connects by {kind.name}")
        if kind is AddrType.TCP:
            raise Refused(NdmpError.PRECONDITION_ERR)

    def close(self) -> None:
        self.notes.append("closed")


NOTING = Extension(
    class_id=0x2222, name="noting", versions=(1, 3), exchanges=(PING,), begin=NotingExtension
)
PLAIN = Extension(class_id=0x2051, name="plain", versions=(1,))
HIDDEN = Extension(class_id=7, name="hidden", versions=(1,), is_offered=lambda _session: False)


def idle_session(**changes: Any) -> Any:
    return SimpleNamespace(**{"is_idle": True, "notes": []} | changes)


def choice(*pairs: tuple[int, int]) -> list[ClassVersion]:
    return [ClassVersion(ext_class_id=one, ext_version=version) for one, version in pairs]


def refused(extensions: SessionExtensions, session: Any, *pairs: tuple[int, int]) -> NdmpError:
    with pytest.raises(Refused) as caught:
        extensions.choose(session, choice(*pairs))
    return caught.value.code


def test_what_plugins_offer_is_joined_by_class() -> None:
    assert joined([("one", (NOTING,)), ("other", [PLAIN])]) == (PLAIN, NOTING)
    assert joined([]) == ()


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (Extension(class_id=0, name="zero", versions=(1,)), "from 1 to 0xffff"),
        (Extension(class_id=0x10000, name="large", versions=(1,)), "from 1 to 0xffff"),
        (Extension(class_id=5, name="none", versions=()), "its versions are"),
        (Extension(class_id=5, name="large", versions=(0x10000,)), "its versions are"),
        (Extension(class_id=5, name="other", versions=(1,), exchanges=(PING,)), "TEST_PING has"),
        (PLAIN, "the plugin first offers the class too"),
    ],
)
def test_an_extension_that_cannot_be_stops_the_start(offered: Extension, words: str) -> None:
    with pytest.raises(TapekitError, match=words) as caught:
        joined([("first", (PLAIN,)), ("second", (offered,))])
    assert caught.value.id == "ndmp_v4.bad-extension"
    assert "the plugin second offers" in str(caught.value)


def test_the_plugin_asks_the_others_once_when_it_is_assembled() -> None:
    asked: list[str] = []

    def call_hook(hook: str) -> list[tuple[str, object]]:
        asked.append(hook)
        return [("third", (NOTING, NOTING))]

    kernel: Any = SimpleNamespace(call_hook=call_hook)
    with pytest.raises(TapekitError, match="third"):
        NdmpV4Plugin(NdmpV4Settings()).tapekit_on_assembled(kernel)
    assert asked == ["tapekit_register_ndmp_extensions"]


@pytest.mark.requirement("R188")
def test_the_listing_has_all_versions_of_what_is_offered_to_the_session() -> None:
    extensions = SessionExtensions((PLAIN, HIDDEN, NOTING))
    assert extensions.offer(idle_session()) == (
        ClassVersions(ext_class_id=0x2051, ext_version=(1,)),
        ClassVersions(ext_class_id=0x2222, ext_version=(1, 3)),
    )


@pytest.mark.requirement("R188")
def test_a_choice_brings_messages_handlers_and_kinds_of_connection() -> None:
    session = idle_session()
    extensions = SessionExtensions((PLAIN, NOTING))
    assert extensions.handler(PingRequest) is None
    assert extensions.choose(session, choice((0x2222, 3), (0x2051, 1))) == (PING,)
    assert extensions.handler(PingRequest) is not None
    assert extensions.address_kinds() == {AddrType.IPC}
    extensions.permit_connection(AddrType.LOCAL)
    extensions.close()
    extensions.close()
    assert session.notes == ["begun with 3", "connects by LOCAL", "closed"]


class ConnectingExtension(ChosenExtension):
    """Makes connections over TCP in its own way."""

    def transport(self, kind: AddrType) -> Any:
        return f"transport of {self.session.name}" if kind is AddrType.TCP else None


def test_a_chosen_class_may_make_connections_itself() -> None:
    connecting = Extension(class_id=8, name="own", versions=(1,), begin=ConnectingExtension)
    extensions = SessionExtensions((PLAIN, connecting))
    assert extensions.transport(AddrType.TCP) is None
    extensions.choose(idle_session(name="this one"), choice((0x2051, 1), (8, 1)))
    assert extensions.transport(AddrType.TCP) == "transport of this one"
    assert extensions.transport(AddrType.TCP_IPV6) is None


def test_a_chosen_class_may_refuse_a_connection() -> None:
    extensions = SessionExtensions((NOTING,))
    extensions.choose(idle_session(), choice((0x2222, 1)))
    with pytest.raises(Refused) as caught:
        extensions.permit_connection(AddrType.TCP)
    assert caught.value.code is NdmpError.PRECONDITION_ERR


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        (((0x2050, 3),), NdmpError.CLASS_NOT_SUPPORTED_ERR),
        (((7, 1),), NdmpError.CLASS_NOT_SUPPORTED_ERR),
        (((0x2051, 1), (0x2050, 3)), NdmpError.CLASS_NOT_SUPPORTED_ERR),
        (((0x2051, 1), (0x2222, 2)), NdmpError.VERSION_NOT_SUPPORTED_ERR),
        (((0x2051, 1), (0x2051, 1)), NdmpError.EXT_DUPL_CLASSES_ERR),
        (((9, 1), (9, 2)), NdmpError.EXT_DUPL_CLASSES_ERR),
    ],
)
def test_a_refused_choice_changes_nothing(
    pairs: tuple[tuple[int, int], ...], error: NdmpError
) -> None:
    session = idle_session()
    extensions = SessionExtensions((PLAIN, HIDDEN, NOTING))
    assert refused(extensions, session, *pairs) is error
    assert session.notes == []
    assert extensions.address_kinds() == set()
    extensions.choose(session, choice((0x2222, 1)))
    assert session.notes == ["begun with 1"]


def test_a_session_chooses_once_even_if_nothing() -> None:
    extensions = SessionExtensions((PLAIN,))
    assert extensions.choose(idle_session(), choice()) == ()
    assert refused(extensions, idle_session(), (0x2051, 1)) is NdmpError.EXT_DN_ILLEGAL_ERR


def test_nothing_can_be_chosen_during_or_after_work_with_data() -> None:
    extensions = SessionExtensions((PLAIN,))
    busy = idle_session(is_idle=False)
    assert refused(extensions, busy, (0x2051, 1)) is NdmpError.EXT_DN_ILLEGAL_ERR
    extensions.permit_connection(AddrType.LOCAL)
    assert refused(extensions, idle_session(), (0x2051, 1)) is NdmpError.EXT_DN_ILLEGAL_ERR


async def test_an_extension_that_adds_nothing_is_a_whole_one() -> None:
    session = idle_session()
    chosen = ChosenExtension(session, 1)
    assert (chosen.session, chosen.version) == (session, 1)
    assert (chosen.handlers(), tuple(chosen.address_kinds())) == ({}, ())
    chosen.permit_connection(AddrType.TCP)
    assert chosen.transport(AddrType.TCP) is None
    chosen.close()


def test_variables_of_a_class_are_for_sessions_that_chose_it() -> None:
    lending = msgspec.structs.replace(PLAIN, variables=frozenset({"LENT"}))
    extensions = SessionExtensions([lending])
    extensions.permit_variables(["FILESYSTEM", "HIST"])
    with pytest.raises(Refused) as caught:
        extensions.permit_variables(["FILESYSTEM", "LENT"])
    assert caught.value.code == NdmpError.ILLEGAL_ARGS_ERR
    assert str(caught.value.error).startswith("LENT belongs to the extension plain")
    extensions.choose(idle_session(), choice((0x2051, 1)))
    extensions.permit_variables(["FILESYSTEM", "LENT"])

"""Extensions on offer, and what a session has chosen of them.

The offer is made once from what plugins register. A session chooses once, all
or nothing, before its first data connection; from then on the classes'
messages are in its exchange table and their kinds of data connection among
its own. The one rule: a choice that is refused has changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast, final

from tapekit_ndmp_v4.errors import CATALOGUE
from tapekit_ndmp_v4.messages import ClassVersions
from tapekit_ndmp_v4.numbers import NdmpError
from tapekit_ndmp_v4.refusal import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tapekit.hookspecs.transport import DataTransport
    from tapekit_ndmp_v4.exchanges import Exchange
    from tapekit_ndmp_v4.hookspecs import (
        ChosenExtension,
        ExtendedSession,
        Extension,
        ExtensionHandler,
    )
    from tapekit_ndmp_v4.messages import ClassVersion
    from tapekit_ndmp_v4.numbers import AddrType
    from tapekit_ndmp_v4.wire import Message, Pair

__all__ = ["SessionExtensions", "joined"]

_CLASSES: Final = range(1, 1 << 16)
_VERSIONS: Final = range(1 << 16)


def joined(answers: Sequence[tuple[str, object]]) -> tuple[Extension, ...]:
    """The extensions that plugins offer, by class.

    :param answers: plugins and what they answered to
        ``tapekit_register_ndmp_extensions``.
    :raises TapekitError: ``ndmp_v4.bad-extension``.
    """
    found: dict[int, tuple[str, Extension]] = {}
    for plugin, answer in answers:
        for extension in cast("Sequence[Extension]", answer):
            reason = _fault(extension)
            if extension.class_id in found:
                reason = f"the plugin {found[extension.class_id][0]} offers the class too"
            if reason is not None:
                raise CATALOGUE.error(
                    "bad-extension", plugin=plugin, class_id=extension.class_id, reason=reason
                )
            found[extension.class_id] = plugin, extension
    return tuple(extension for _, (_, extension) in sorted(found.items()))


def _fault(extension: Extension) -> str | None:
    """What is wrong with an extension in itself."""
    if extension.class_id not in _CLASSES:
        return "a class has a number from 1 to 0xffff"
    if not extension.versions or any(one not in _VERSIONS for one in extension.versions):
        return f"its versions are {extension.versions}"
    strangers = [row.name for row in extension.exchanges if row.code >> 16 != extension.class_id]
    if strangers:
        return f"{', '.join(strangers)} has a code of another class"
    return None


@final
class SessionExtensions:
    """The classes of one session. Until :meth:`choose` it has none."""

    def __init__(self, offered: Sequence[Extension], demanding: Sequence[Extension] = ()) -> None:
        """:param demanding: those that may demand to be chosen, on offer or not."""
        self._offered: Final = offered
        self._demanding: Final = demanding
        self._chosen: list[ChosenExtension] = []
        self._names: tuple[str, ...] = ()
        self._versions: dict[int, int] = {}
        self._handlers: dict[type[Message], ExtensionHandler] = {}
        self._may_choose = True

    def offer(self, session: ExtendedSession) -> tuple[ClassVersions, ...]:
        """The reply to CONFIG_GET_EXT_LIST."""
        return tuple(
            ClassVersions(ext_class_id=each.class_id, ext_version=each.versions)
            for each in self._offered_to(session)
        )

    def choose(
        self, session: ExtendedSession, wanted: Sequence[ClassVersion]
    ) -> tuple[Exchange, ...]:
        """Take up a client's choice (CONFIG_SET_EXT_LIST).

        :returns: the messages that the session has from now on.
        :raises Refused: nothing of the choice holds.
        """
        chosen = self._judged(session, wanted)
        begun = [extension.begin(session, version) for extension, version in chosen]
        self._may_choose = False
        self._chosen = begun
        self._names = tuple(extension.name for extension, _ in chosen)
        self._versions = {extension.class_id: version for extension, version in chosen}
        for one in begun:
            self._handlers.update(one.handlers())
        return tuple(row for extension, _ in chosen for row in extension.exchanges)

    def _judged(
        self, session: ExtendedSession, wanted: Sequence[ClassVersion]
    ) -> list[tuple[Extension, int]]:
        if not self._may_choose or not session.is_idle:
            raise Refused(NdmpError.EXT_DN_ILLEGAL_ERR, CATALOGUE.error("extensions-too-late"))
        classes = [each.ext_class_id for each in wanted]
        if len(set(classes)) < len(classes):
            raise Refused(NdmpError.EXT_DUPL_CLASSES_ERR)
        offered = {each.class_id: each for each in self._offered_to(session)}
        for each in wanted:
            if each.ext_class_id not in offered:
                raise Refused(
                    NdmpError.CLASS_NOT_SUPPORTED_ERR,
                    CATALOGUE.error("extension-not-offered", class_id=each.ext_class_id),
                )
            extension = offered[each.ext_class_id]
            if each.ext_version not in extension.versions:
                raise Refused(
                    NdmpError.VERSION_NOT_SUPPORTED_ERR,
                    CATALOGUE.error(
                        "extension-version-not-offered",
                        name=extension.name,
                        version=each.ext_version,
                        offered=", ".join(map(str, extension.versions)),
                    ),
                )
        return [(offered[each.ext_class_id], each.ext_version) for each in wanted]

    def _offered_to(self, session: ExtendedSession) -> Iterator[Extension]:
        return (each for each in self._offered if each.is_offered(session))

    @property
    def names(self) -> tuple[str, ...]:
        """The chosen classes as people call them."""
        return self._names

    @property
    def versions(self) -> Mapping[int, int]:
        """The chosen classes with their versions."""
        return self._versions

    @property
    def has_job(self) -> bool:
        """Whether something is in progress that a chosen class has elsewhere."""
        return any(one.has_job for one in self._chosen)

    def jobs_of(self, butype: str) -> int:
        """How many jobs of an engine the chosen classes have in progress."""
        return sum(one.jobs_of(butype) for one in self._chosen)

    def elsewhere(self, request: Message, own: ExtensionHandler) -> ExtensionHandler | None:
        """Who answers a request instead of this node, for the chosen classes."""
        wanted = (one.elsewhere(request, own) for one in self._chosen)
        return next((handler for handler in wanted if handler is not None), None)

    def volume_variables(self, path: str) -> tuple[Pair, ...]:
        """What the chosen classes tell of a volume."""
        return tuple(pair for one in self._chosen for pair in one.volume_variables(path))

    def device_variables(self) -> tuple[Pair, ...]:
        """What the chosen classes tell of a device."""
        return tuple(pair for one in self._chosen for pair in one.device_variables())

    def handler(self, kind: type[Message]) -> ExtensionHandler | None:
        """Who answers a request of a chosen class."""
        return self._handlers.get(kind)

    def address_kinds(self) -> set[AddrType]:
        """Kinds of data connection that the chosen classes add."""
        return {kind for one in self._chosen for kind in one.address_kinds()}

    def transport(self, kind: AddrType) -> DataTransport | None:
        """Who makes connections of a kind for the chosen classes, if any of
        them wants to; the first one in the client's order.
        """
        wanted = (one.transport(kind) for one in self._chosen)
        return next((transport for transport in wanted if transport is not None), None)

    def connecting_class(self, kind: AddrType) -> int | None:
        """The class whose transport that is."""
        made = zip(self._versions, self._chosen, strict=True)
        return next((number for number, one in made if one.transport(kind) is not None), None)

    def permit_connection(self, kind: AddrType) -> None:
        """Hear of a data connection to come; from now on nothing can be chosen.

        :raises Refused: a chosen class does not permit it, or one that was
            not chosen is demanded.
        """
        self._may_choose = False
        for extension in self._demanding:
            if extension.demands(kind) and extension.name not in self._names:
                raise Refused(
                    NdmpError.PERMISSION_ERR,
                    CATALOGUE.error(
                        "extension-demanded",
                        name=extension.name,
                        class_id=extension.class_id,
                        kind=kind.name,
                    ),
                )
        for one in self._chosen:
            one.permit_connection(kind)

    def permit_data_connection(self, kind: AddrType, *, listens: bool) -> None:
        """Hear that it is the data server's.

        :raises Refused: a chosen class does not permit it.
        """
        for one in self._chosen:
            one.permit_data_connection(kind, listens=listens)

    def permit_variables(self, names: Iterable[str]) -> None:
        """Judge the environment of a backup.

        :raises Refused: one of them belongs to a class that was not chosen.
        """
        wanted = frozenset(names)
        for extension in (*self._offered, *self._demanding):
            foreign = extension.variables & wanted
            if foreign and extension.name not in self._names:
                raise Refused(
                    NdmpError.ILLEGAL_ARGS_ERR,
                    CATALOGUE.error(
                        "variable-of-extension",
                        name=min(foreign),
                        extension=extension.name,
                        class_id=extension.class_id,
                    ),
                )

    def close(self) -> None:
        """Let go of what the classes hold for the session."""
        chosen, self._chosen = self._chosen, []
        for one in chosen:
            one.close()

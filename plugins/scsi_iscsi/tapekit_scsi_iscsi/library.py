"""libiscsi, as far as drives and changers need it, through ctypes.

Each call blocks its thread and lets all others run. Of the library's
structures only a task is looked into, where its answer is; the place of it is
found out when the library is loaded, because it differs between versions. The
one rule: after a call that failed, a context is good for nothing but to be
destroyed, and a context that the library may still write to is not even that.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import os
import select
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, final

from tapekit.scsi.door import CdbReply, Status
from tapekit_scsi_iscsi.discovery import peer_of, read_offers
from tapekit_scsi_iscsi.errors import CATALOGUE

if TYPE_CHECKING:
    from tapekit_scsi_iscsi.credentials import Chap
    from tapekit_scsi_iscsi.discovery import Offer
    from tapekit_scsi_iscsi.settings import Target

__all__ = ["Context", "Library", "LibraryFailure", "Login", "load_library"]

_NAMES: Final = ("libiscsi.so.7", "iscsi")
_DISCOVERY_SESSION, _NORMAL_SESSION = 1, 2
_NO_DIGEST: Final = 0
_NO_DATA, _READ, _WRITE = 0, 1, 2
_RESIDUAL_UNDER: Final = 1
_FIRST_INTERNAL_STATUS: Final = 0x100
"""Statuses from here on are the library's own; SCSI's have one byte."""

_TIMED_OUT: Final = 0x0F000002
_WATCHED: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
)
"""Options of a connection: asked after 20 s of silence, given up after 60 s."""

_OF_A_COMMAND: Final = "SENSE KEY"
"""How texts begin that are about an answer of a device."""

_PORTION_OF_SERVICE: Final = 16
"""Messages that are taken from a connection at one time."""

_PROBED_BYTES: Final = 192
"""Bytes of a task that every version has."""

_FROM_ANSWER_TO_VECTOR: Final = 48
"""From the answer of a task to its vector of incoming data: a size, two
pointers, a pointer of the caller's and three numbers.
"""


class LibraryFailure(Exception):
    """A call did not do what it should; the text says why."""

    def __init__(self, reason: str, *, is_timeout: bool = False) -> None:
        super().__init__(reason)
        self.is_timeout: Final = is_timeout


class Login(NamedTuple):
    """Who logs in to which target."""

    initiator: str
    target: Target
    """Without a name, only to ask which targets there are."""
    chap: Chap | None
    timeout_s: int


class _Task(ctypes.Structure):
    """The beginning of ``struct scsi_task``, which is the same everywhere."""

    _fields_ = (
        ("status", ctypes.c_int),
        ("cdb_size", ctypes.c_int),
        ("xfer_dir", ctypes.c_int),
        ("expxferlen", ctypes.c_int),
        ("cdb", ctypes.c_ubyte * 16),
        ("residual_status", ctypes.c_int),
        ("residual", ctypes.c_size_t),
    )


class _Answer(ctypes.Structure):
    """``struct scsi_data``: what came without a place of its own, or sense data."""

    _fields_ = (("size", ctypes.c_int), ("data", ctypes.c_void_p))


class _Vector(ctypes.Structure):
    """``struct scsi_iovec``."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_CONTEXT, _TASK, _TEXT, _INT, _LIST = (
    ctypes.c_void_p,
    ctypes.POINTER(_Task),
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_void_p,
)

_FUNCTIONS: Final = (
    ("iscsi_create_context", _CONTEXT, (_TEXT,)),
    ("iscsi_destroy_context", _INT, (_CONTEXT,)),
    ("iscsi_get_error", _TEXT, (_CONTEXT,)),
    ("iscsi_set_targetname", _INT, (_CONTEXT, _TEXT)),
    ("iscsi_set_session_type", _INT, (_CONTEXT, _INT)),
    ("iscsi_set_header_digest", _INT, (_CONTEXT, _INT)),
    ("iscsi_set_initiator_username_pwd", _INT, (_CONTEXT, _TEXT, _TEXT)),
    ("iscsi_set_target_username_pwd", _INT, (_CONTEXT, _TEXT, _TEXT)),
    ("iscsi_set_timeout", _INT, (_CONTEXT, _INT)),
    ("iscsi_set_noautoreconnect", None, (_CONTEXT, _INT)),
    ("iscsi_connect_sync", _INT, (_CONTEXT, _TEXT)),
    ("iscsi_login_sync", _INT, (_CONTEXT,)),
    ("iscsi_logout_sync", _INT, (_CONTEXT,)),
    ("iscsi_discovery_sync", _LIST, (_CONTEXT,)),
    ("iscsi_free_discovery_data", None, (_CONTEXT, _LIST)),
    ("iscsi_disconnect", _INT, (_CONTEXT,)),
    ("iscsi_get_fd", _INT, (_CONTEXT,)),
    ("iscsi_which_events", _INT, (_CONTEXT,)),
    ("iscsi_service", _INT, (_CONTEXT, _INT)),
    ("iscsi_task_mgmt_lun_reset_sync", _INT, (_CONTEXT, ctypes.c_uint32)),
    ("iscsi_scsi_command_sync", _TASK, (_CONTEXT, _INT, _TASK, ctypes.c_void_p)),
    ("scsi_create_task", _TASK, (_INT, _TEXT, _INT, _INT)),
    ("scsi_task_set_iov_in", None, (_TASK, ctypes.POINTER(_Vector), _INT)),
    ("scsi_task_set_iov_out", None, (_TASK, ctypes.POINTER(_Vector), _INT)),
    ("scsi_free_scsi_task", None, (_TASK,)),
)


class Library(NamedTuple):
    """The loaded library, and where its tasks keep their answers."""

    calls: ctypes.CDLL
    answer_offset: int


def load_library(names: tuple[str, ...] = _NAMES) -> Library:
    """Load libiscsi.

    :param names: file names, or names without prefix and suffix.
    :raises TapekitError: it is not installed, or this is not the library
        that it should be.
    """
    for name in names:
        path = name if ".so" in name else ctypes.util.find_library(name)
        try:
            calls = ctypes.CDLL(path) if path else None
        except OSError:
            continue
        if calls is not None:
            return _checked(calls)
    raise CATALOGUE.error("no-library")


def _checked(calls: ctypes.CDLL) -> Library:
    for name, result, arguments in _FUNCTIONS:
        try:
            function = getattr(calls, name)
        except AttributeError:
            raise CATALOGUE.error("strange-library", reason=f"it has no {name}") from None
        function.restype, function.argtypes = result, arguments
    offset = _answer_offset(calls)
    if offset is None:
        raise CATALOGUE.error("strange-library", reason="its tasks have another structure")
    return Library(calls, offset)


def _answer_offset(calls: ctypes.CDLL) -> int | None:
    """Where a task keeps its answer, told by a vector that is put near it."""
    vector = _Vector(None, 0)
    task = calls.scsi_create_task(6, bytes(6), _READ, 0)
    try:
        calls.scsi_task_set_iov_in(task, ctypes.byref(vector), 1)
        content = ctypes.string_at(task, _PROBED_BYTES)
    finally:
        calls.scsi_free_scsi_task(task)
    size = ctypes.sizeof(ctypes.c_void_p)
    place = content.find(ctypes.addressof(vector).to_bytes(size, "little"))
    least = ctypes.sizeof(_Task) + _FROM_ANSWER_TO_VECTOR
    return place - _FROM_ANSWER_TO_VECTOR if place >= least and place % size == 0 else None


def _watch(descriptor: int) -> None:
    """Have the kernel notice within a minute that a target's host is gone;
    commands to a tape may rightly take hours, so their time tells nothing.
    """
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        for level, option, value in _WATCHED:
            connection.setsockopt(level, option, value)


def _hang_up(descriptor: int) -> None:
    """End a connection that stays open, for the target to see."""
    if descriptor >= 0:
        with (
            socket.socket(fileno=os.dup(descriptor)) as connection,
            contextlib.suppress(OSError),
        ):
            connection.shutdown(socket.SHUT_RDWR)


@final
class Context:
    """One login to a target; one caller at a time."""

    def __init__(self, library: Library, login: Login) -> None:
        """Log in.

        :raises LibraryFailure: the target cannot be reached, or refuses.
        """
        self._calls: Final = library.calls
        self._answer_offset: Final = library.answer_offset
        self._portal: Final = login.target.portal
        self._room = ctypes.create_string_buffer(0)
        self._context: int | None = self._calls.iscsi_create_context(login.initiator.encode())
        if self._context is None:
            raise LibraryFailure("there is no memory for a connection")
        try:
            self._log_in(login)
        except BaseException:
            self.destroy()
            raise

    def _log_in(self, login: Login) -> None:
        calls, context = self._calls, self._context
        if login.target.name:
            calls.iscsi_set_targetname(context, login.target.name.encode())
        kind = _NORMAL_SESSION if login.target.name else _DISCOVERY_SESSION
        calls.iscsi_set_session_type(context, kind)
        calls.iscsi_set_header_digest(context, _NO_DIGEST)
        # It would send commands again, of which nobody knows whether they moved the tape.
        calls.iscsi_set_noautoreconnect(context, 1)
        calls.iscsi_set_timeout(context, login.timeout_s)
        chap = login.chap
        if chap is not None:
            self._check(
                calls.iscsi_set_initiator_username_pwd(
                    context, chap.user.encode(), chap.password.encode()
                )
            )
        if chap is not None and chap.target_user is not None and chap.target_password is not None:
            self._check(
                calls.iscsi_set_target_username_pwd(
                    context, chap.target_user.encode(), chap.target_password.encode()
                )
            )
        self._check(calls.iscsi_connect_sync(context, login.target.portal.encode()))
        _watch(calls.iscsi_get_fd(context))
        self._check(calls.iscsi_login_sync(context))

    def _check(self, result: int) -> None:
        if result != 0:
            raise LibraryFailure(self._reason())

    def _reason(self) -> str:
        """What the library says of its last failure."""
        raw: bytes | None = self._calls.iscsi_get_error(self._context)
        text = (raw or b"").decode("utf-8", "replace").strip()
        # What it says of its own attempts, or has said before, is of no help.
        is_told = text and "reconnect" not in text and not text.startswith(_OF_A_COMMAND)
        return text if is_told else "the target does not answer, or has closed the connection"

    def offers(self) -> list[Offer]:
        """The targets that the portal offers, in a session without a target.

        :raises LibraryFailure: it does not say.
        """
        try:
            # Whoever is asked by a name tells of itself by an address.
            names = {peer_of(self._calls.iscsi_get_fd(self._context)): self._portal}
        except OSError as error:
            raise LibraryFailure(error.strerror or str(error)) from error
        first = self._calls.iscsi_discovery_sync(self._context)
        if not first and self._calls.iscsi_get_error(self._context):
            raise LibraryFailure(self._reason())
        try:
            return read_offers(first, names)
        finally:
            self._calls.iscsi_free_discovery_data(self._context, first)

    def execute(
        self, lun: int, cdb: bytes, data_out: bytes, data_in: int, timeout_s: int
    ) -> CdbReply:
        """Run one command.

        :param lun: as the first two bytes of a LUN on the wire (SAM).
        :param timeout_s: 0 waits for ever.
        :raises LibraryFailure: no answer came.
        """
        direction = _WRITE if data_out else _READ if data_in else _NO_DATA
        task = self._calls.scsi_create_task(len(cdb), cdb, direction, len(data_out) or data_in)
        if not task:
            raise LibraryFailure("there is no memory for a command")
        try:
            if data_out:
                base = ctypes.cast(ctypes.c_char_p(data_out), ctypes.c_void_p)
                vector = _Vector(base, len(data_out))
                self._calls.scsi_task_set_iov_out(task, ctypes.byref(vector), 1)
            elif data_in:
                vector = _Vector(ctypes.addressof(self._roomy(data_in)), data_in)
                self._calls.scsi_task_set_iov_in(task, ctypes.byref(vector), 1)
            self._run(lun, task, timeout_s)
            return self._reply(task, len(data_out), data_in)
        finally:
            if self._context is not None:
                self._calls.scsi_free_scsi_task(task)

    def _roomy(self, size: int) -> ctypes.Array[ctypes.c_char]:
        if len(self._room) < size:
            self._room = ctypes.create_string_buffer(size)
        # Where a device sends less than it says, nothing old shows.
        ctypes.memset(self._room, 0, size)
        return self._room

    def _run(self, lun: int, task: object, timeout_s: int) -> None:
        self._calls.iscsi_set_timeout(self._context, timeout_s)
        done = self._calls.iscsi_scsi_command_sync(self._context, lun, task, None)
        if not done:
            # The task is still with the library, which would write to it
            # and to a frame that is gone: both are left where they are.
            reason = self._reason()
            _hang_up(self._calls.iscsi_get_fd(self._context))
            self._context = None
            raise LibraryFailure(reason)
        status = done.contents.status
        if not 0 <= status < _FIRST_INTERNAL_STATUS:
            raise LibraryFailure(self._reason(), is_timeout=status == _TIMED_OUT)

    def _reply(self, task: ctypes._Pointer[_Task], offered: int, room: int) -> CdbReply:
        head = task.contents
        # An answer may even claim to lack more than there was to send.
        lacking = head.residual if head.residual_status == _RESIDUAL_UNDER else 0
        sense = b""
        if head.status == Status.CHECK_CONDITION:
            address = ctypes.addressof(head) + self._answer_offset
            answer = _Answer.from_address(address)
            if answer.data and answer.size > 2:
                content = ctypes.string_at(answer.data, answer.size)
                sense = content[2 : 2 + int.from_bytes(content[:2], "big")]
        taken = max(room - lacking, 0)
        data = memoryview(self._room)[:taken].tobytes() if room else b""
        return CdbReply(head.status, data, max(offered - lacking, 0), sense)

    def reset(self, lun: int, timeout_s: int) -> None:
        """Reset a logical unit.

        :raises LibraryFailure: the target refuses, or no answer came.
        """
        self._calls.iscsi_set_timeout(self._context, timeout_s)
        self._check(self._calls.iscsi_task_mgmt_lun_reset_sync(self._context, lun))

    def serve(self) -> None:
        """Answer what the target has asked meanwhile, such as whether anybody
        is still there.

        :raises LibraryFailure: the connection has ended.
        """
        for _ in range(_PORTION_OF_SERVICE):
            descriptor = self._calls.iscsi_get_fd(self._context)
            if descriptor < 0:
                raise LibraryFailure("the target has closed the connection")
            waiting = select.poll()
            waiting.register(descriptor, self._calls.iscsi_which_events(self._context))
            ready = waiting.poll(0)
            if not ready:
                return
            self._check(self._calls.iscsi_service(self._context, ready[0][1]))

    def log_out(self, timeout_s: int) -> None:
        """Tell the target that nothing more comes.

        :raises LibraryFailure: it does not answer.
        """
        self._calls.iscsi_set_timeout(self._context, timeout_s)
        self._check(self._calls.iscsi_logout_sync(self._context))

    def destroy(self) -> None:
        """Close the connection and free everything; later calls do nothing."""
        context, self._context = self._context, None
        if context is not None:
            self._calls.iscsi_destroy_context(context)

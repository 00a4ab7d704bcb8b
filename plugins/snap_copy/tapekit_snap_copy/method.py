"""Snapshot copies as plain copies in a folder.

A copy NAME is the directory NAME and beside it ``.NAME.origins``; while it
is made or removed its directory is ``.NAME.partial``. The last step of
making and the first of removing is the renaming of the directory, so that
under its own name a copy is always whole. The one rule: names that begin
with a dot are never copies.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from typing import TYPE_CHECKING, Final, NoReturn, final

from tapekit.errors import TapekitError
from tapekit.hookspecs.storage import for_ever
from tapekit_snap_copy.attributes import AttributeNotKept
from tapekit_snap_copy.errors import CATALOGUE
from tapekit_snap_copy.origins import OriginsDamaged, OriginsFile, OriginsWriter
from tapekit_snap_copy.removal import remove_tree
from tapekit_snap_copy.tree_copy import CopyStopped, TreeCopier, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from tapekit.hookspecs.storage import KeepGoing, Origin

__all__ = ["CopyMethod", "CopyTree"]

_LOG: Final = logging.getLogger("tapekit.snap_copy")
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class CopyTree:
    """An open Snapshot copy; implements ``SnapshotTree``."""

    def __init__(self, root: Path, origins: OriginsFile) -> None:
        self._root: Final = root
        self._origins: Final = origins

    @property
    def root(self) -> Path:
        """Its directory."""
        return self._root

    def origin(self, status: os.stat_result) -> Origin:
        """What the object of this status was in the volume.

        :raises TapekitError: the object does not belong to the copy.
        """
        origin = self._origins.find(status.st_ino)
        if origin is None:
            raise CATALOGUE.error("origin-unknown", root=self._root, inode=status.st_ino)
        return origin

    def birth_ns(self, directory: int, name: bytes) -> int | None:
        """When the object was made in the volume; ``None`` if its file system
        did not tell, or the copy is of a release that kept no note of it.
        """
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return self._origins.birth_ns(status.st_ino)

    def close(self) -> None:
        """Let go of the list of origins."""
        self._origins.close()


@final
class CopyMethod:
    """Makes Snapshot copies by copying; implements ``SnapshotMethod``."""

    @property
    def name(self) -> str:
        """The name in settings: ``copy``."""
        return "copy"

    def create(
        self, volume: Path, snapshots: Path, name: str, keep_going: KeepGoing = for_ever
    ) -> CopyTree:
        """Copy the volume while it is in use.

        Takes as long as reading and writing all of it. The copy is no
        moment's picture: what changes meanwhile is in it as it was met, or
        as it was after the change, and has a change time that tells.

        :param keep_going: called for each file, and every 64 MiB of one.
        :raises TapekitError: it cannot be made; nothing is left of it, nor
            is when ``keep_going`` raises.
        """
        snapshots.mkdir(mode=0o700, exist_ok=True)
        with _opened(snapshots) as folder:
            if os.path.lexists(snapshots / name):
                raise CATALOGUE.error("copy-exists", name=name, folder=snapshots)
            self._remove(snapshots, folder, name)
            try:
                _make(volume, snapshots, folder, name, keep_going)
            except BaseException:
                self._remove_after_failure(snapshots, folder, name)
                raise
        return self.open(snapshots, name)

    def open(self, snapshots: Path, name: str) -> CopyTree:
        """Open an existing copy.

        :raises TapekitError: there is none, or its list of origins is damaged.
        """
        root, origins = snapshots / name, snapshots / _origins(name)
        if not root.is_dir() or root.is_symlink() or not origins.exists():
            raise CATALOGUE.error("no-such-copy", name=name, folder=snapshots)
        try:
            return CopyTree(root, OriginsFile(os.open(origins, os.O_RDONLY | os.O_CLOEXEC)))
        except OriginsDamaged as error:
            raise CATALOGUE.error(
                "origins-damaged", name=name, file=origins, reason=error
            ) from error

    def delete(self, snapshots: Path, name: str) -> None:
        """Remove a copy, whole or partial.

        :raises TapekitError: the operating system refuses; what is left is
            no longer a copy, and a later call goes on.
        """
        if not snapshots.is_dir():
            return
        with _opened(snapshots) as folder:
            self._remove(snapshots, folder, name)

    def names(self, snapshots: Path) -> Sequence[str]:
        """The whole copies, in the order in which they were finished."""
        if not snapshots.is_dir():
            return ()
        with _opened(snapshots) as folder, os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
            ]
            finished = {name: _finished_ns(name, folder) for name in names}
        whole = [(moment, name) for name, moment in finished.items() if moment is not None]
        return tuple(name for _, name in sorted(whole))

    def _remove(self, snapshots: Path, folder: int, name: str) -> None:
        try:
            _remove(folder, name)
        except OSError as error:
            raise CATALOGUE.error(
                "not-deleted",
                name=name,
                folder=snapshots,
                path=readable(error.filename),
                reason=error.strerror,
            ) from error

    def _remove_after_failure(self, snapshots: Path, folder: int, name: str) -> None:
        """Remove what was made; the failure counts, not what this meets."""
        try:
            self._remove(snapshots, folder, name)
        except TapekitError as error:
            _LOG.warning("%s", error.advice)


def _make(volume: Path, snapshots: Path, folder: int, name: str, keep_going: KeepGoing) -> None:
    """Copy the volume beside its future name, then give it that name."""
    try:
        _copy(volume, folder, name, keep_going)
        remove_tree(folder, _links(name))
        os.rename(_partial(name), name, src_dir_fd=folder, dst_dir_fd=folder)
    except CopyStopped as stopped:
        _refuse(name, snapshots, volume / stopped.place, stopped.__cause__)
    except OSError as error:
        _refuse(name, snapshots, volume, error)


def _copy(volume: Path, folder: int, name: str, keep_going: KeepGoing) -> None:
    with contextlib.ExitStack() as opened:
        target = _make_root(_partial(name), folder)
        opened.callback(os.close, target)
        links = _make_root(_links(name), folder)
        opened.callback(os.close, links)
        source = os.open(volume, _DIRECTORY)
        opened.callback(os.close, source)
        scratch = opened.enter_context(_new_file("runs", links))
        origins = OriginsWriter(scratch)
        TreeCopier(source, target, links, origins, keep_going).copy()
        with _new_file(_origins(name), folder) as file:
            origins.write(file)


def _refuse(name: str, snapshots: Path, path: Path, cause: BaseException | None) -> NoReturn:
    """Explain why a copy was not made.

    :raises TapekitError: always.
    """
    match cause:
        case AttributeNotKept(attribute=attribute, error=error):
            raise CATALOGUE.error(
                "attribute-not-kept",
                name=name,
                path=path,
                attribute=attribute,
                folder=snapshots,
                reason=error.strerror,
            ) from cause
        case OSError(errno=errno.ENOSPC | errno.EDQUOT, strerror=reason):
            raise CATALOGUE.error("no-room", name=name, folder=snapshots, reason=reason) from cause
        case OSError(strerror=reason):
            raise CATALOGUE.error("not-copied", name=name, path=path, reason=reason) from cause
        case _:
            raise AssertionError(cause)


def _make_root(name: str, folder: int) -> int:
    """Make a directory that hands nothing down to what is made in it."""
    os.mkdir(name, 0o700, dir_fd=folder)
    directory = os.open(name, _DIRECTORY, dir_fd=folder)
    for inherited in ("system.posix_acl_default", "system.posix_acl_access"):
        try:
            os.removexattr(directory, inherited)
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP}:
                raise
    os.fchmod(directory, 0o700)
    return directory


def _remove(folder: int, name: str) -> None:
    remove_tree(folder, _partial(name))
    with contextlib.suppress(FileNotFoundError):
        os.rename(name, _partial(name), src_dir_fd=folder, dst_dir_fd=folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_origins(name), dir_fd=folder)
    remove_tree(folder, _links(name))
    remove_tree(folder, _partial(name))


def _partial(name: str) -> str:
    return f".{name}.partial"


def _links(name: str) -> str:
    return f".{name}.links"


def _origins(name: str) -> str:
    return f".{name}.origins"


def _finished_ns(name: str, folder: int) -> int | None:
    """When a copy became whole; ``None`` if it is not."""
    try:
        return os.stat(_origins(name), dir_fd=folder, follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        return None


def _new_file(name: str, folder: int) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "w+b")


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

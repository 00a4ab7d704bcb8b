"""Paths of the storage as clients write them, as far as sessions understand them.

A session cares for two parts alone, the storage virtual machine and the volume
that a path leads to. The one rule: they are found as the storage finds them, which takes no
notice of empty parts and of ``.``.
"""

from __future__ import annotations

__all__ = ["svm_of", "volume_of"]


def svm_of(path: str) -> str:
    """The storage virtual machine of ``/svm[/volume[/path]]``; empty if the
    path leads to none.
    """
    return next((name for name in path.split("/") if name not in {"", "."}), "")


def volume_of(path: str) -> str:
    """The volume of ``/svm/volume[/path]`` in that form; empty if the path
    leads to none.
    """
    names = [name for name in path.split("/") if name not in {"", "."}]
    return "/".join(("", *names[:2])) if len(names) > 1 else ""

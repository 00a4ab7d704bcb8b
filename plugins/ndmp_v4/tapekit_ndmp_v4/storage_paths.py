"""Paths of the storage as clients write them, as far as sessions understand them.

A session cares for one part alone, the storage virtual machine that a path
leads to. The one rule: it is found as the storage finds it, which takes no
notice of empty parts and of ``.``.
"""

from __future__ import annotations

__all__ = ["svm_of"]


def svm_of(path: str) -> str:
    """The storage virtual machine of ``/svm[/volume[/path]]``; empty if the
    path leads to none.
    """
    return next((name for name in path.split("/") if name not in {"", "."}), "")

"""Limits on the freed memory that glibc's allocator retains. With another C library nothing is done."""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8
"""malloc.h"""


def limit_arenas() -> None:
    """Limits malloc to two arenas for all threads; call it before threads start. The default is eight for
    each core: each activation's worker thread takes the next arena, and each retains over 20 MB of freed
    images."""
    _glibc('mallopt', _M_ARENA_MAX, 2)


def return_freed_memory() -> None:
    """Returns freed memory to the system: over 70 MB after the networks are released. Subscriptions and their
    callbacks form reference cycles that hold the last image, so Python's collector runs first."""
    gc.collect()
    _glibc('malloc_trim', 0)


def _glibc(function: str, *args: int) -> None:
    call = getattr(ctypes.CDLL(None), function, None)
    if call is not None:
        call(*args)

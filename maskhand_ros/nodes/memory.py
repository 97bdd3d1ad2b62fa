"""What glibc's allocator keeps of freed memory. With another C library nothing is done."""

from __future__ import annotations

import ctypes
import gc

_M_ARENA_MAX = -8
"""malloc.h"""


def limit_arenas():
    """Two pools of memory for all threads of the process, to be called before they start. By default there
    are eight to a core, a new worker thread takes the next one, and each keeps over 20 MB of pictures that
    are long gone: with every activation there would be one more."""
    _glibc('mallopt', _M_ARENA_MAX, 2)


def return_freed_memory():
    """Gives freed memory back to the machine: over 70 MB after the networks are gone. Subscriptions and
    their callbacks hold each other and the last picture; Python's collector comes by itself once in minutes.
    """
    gc.collect()
    _glibc('malloc_trim', 0)


def _glibc(function, *args):
    call = getattr(ctypes.CDLL(None), function, None)
    if call is not None:
        call(*args)

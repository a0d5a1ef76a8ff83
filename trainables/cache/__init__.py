"""Decoded pixels that are kept on this machine's disk, so that a set is decoded once.

`folder` says where they are kept and makes room there; `entry` writes and reads the pixels of one set as files that are mapped into
memory. What an entry is named after, and when one is written, is decided in `trainables.decoding.decode_once`.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.cache.entry import Draft, Entry, read_entry
    from trainables.cache.folder import Cache, find_cache, make_room

__all__ = ["Cache", "Draft", "Entry", "find_cache", "make_room", "read_entry"]

__getattr__ = lazy_names(
    __name__, {"entry": ("Draft", "Entry", "read_entry"), "folder": ("Cache", "find_cache", "make_room")}
)

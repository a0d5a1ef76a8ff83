"""The rule for valid keys: the same for folders and buckets, so that a store of one kind can be copied into the other."""

from __future__ import annotations

from trainables.errors import StoreError

RESERVED_PREFIX = ".caucus-"
"""Names with this prefix are reserved for unfinished writes and probes. They are never listed, and never part of a key."""

LONGEST_NAME_BYTES = 255
LONGEST_KEY_BYTES = 900
"""S3 allows 1024 bytes with the store's prefix, most file systems 255 a name."""


def is_unicode(text: str) -> bool:
    """Whether `text` can be encoded as UTF-8: a file name from the operating system may contain bytes that are not UTF-8.

    >>> is_unicode("größer"), is_unicode("\\udcff")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_key(text: str) -> bool:
    """Whether `text` is a valid key: relative, `/` between names, no `.` or `..`, printable characters only.

    >>> is_key("trials/0f3a/config.json"), is_key("../secrets"), is_key("/etc/passwd"), is_key("a//b"), is_key("")
    (True, False, False, False, False)
    """
    if not is_unicode(text):
        return False
    sizes = [len(name.encode()) for name in text.split("/")]
    return (
        text.isprintable()
        and "\\" not in text
        and all(name not in ("", ".", "..") and not name.startswith(RESERVED_PREFIX) for name in text.split("/"))
        and max(sizes) <= LONGEST_NAME_BYTES
        and sum(sizes) + len(sizes) - 1 <= LONGEST_KEY_BYTES
    )


def check_key(key: str) -> str:
    """Returns `key`. Raises `StoreError` where it is not a valid key."""
    if not is_key(key):
        raise StoreError(
            f"key {key[:200]!r} cannot name an object: keys are relative, with single forward slashes, without '.', '..', "
            f"backslashes, unprintable characters and names that start with {RESERVED_PREFIX!r}, "
            f"of at most {LONGEST_KEY_BYTES} bytes and {LONGEST_NAME_BYTES} a name: rename it"
        )
    return key


def check_prefix(prefix: str) -> str:
    """Returns `prefix`. Raises `StoreError` unless it is "" or a folder name that ends in a slash."""
    if prefix and not (prefix.endswith("/") and is_key(prefix[:-1])):
        raise StoreError(f"prefix {prefix[:200]!r} names no folder of a store: it is empty, or a key and a slash")
    return prefix

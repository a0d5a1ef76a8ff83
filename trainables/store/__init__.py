"""Storage for everything: bytes under keys, with atomic writes.

`base.Store` is the protocol, `folder` and `s3` implement it, `open.open_store` chooses by URI. `layout` is the one place
that defines keys; `json_records` seals and checks JSON. boto3 is imported in `s3` and `s3_errors` alone.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.store.base import Store, StoredObject
    from trainables.store.folder import Folder
    from trainables.store.json_records import check_format, get_json, seal_json
    from trainables.store.open import open_store
    from trainables.store.s3 import S3Store

__all__ = ["Folder", "S3Store", "Store", "StoredObject", "check_format", "get_json", "open_store", "seal_json"]

__getattr__ = lazy_names(
    __name__,
    {
        "base": (
            "Store",
            "StoredObject",
        ),
        "folder": ("Folder",),
        "json_records": (
            "check_format",
            "get_json",
            "seal_json",
        ),
        "open": ("open_store",),
        "s3": ("S3Store",),
    },
)

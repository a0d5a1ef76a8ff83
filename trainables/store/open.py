"""Opens a store by its URI."""

from __future__ import annotations

import re
from pathlib import Path

from trainables.errors import StoreError
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.store.keys import is_unicode


def open_store(uri: str, endpoint_url: str | None = None) -> Store:
    """The store that `uri` names: a folder, or `s3://bucket/prefix` at `endpoint_url` (None: boto3's default).

    Accesses neither disk nor network. Raises `StoreError` for any other URI.
    """
    if not uri.strip() or "\0" in uri or not is_unicode(uri):
        raise StoreError(f"store is {uri!a}: name a folder (in UTF-8, as its runs record it), or s3://bucket/prefix")
    scheme, separator, rest = uri.partition("://")
    if not separator:
        try:
            return Folder(Path(uri).expanduser(), uri)
        except RuntimeError as error:  # `~nobody`
            raise StoreError(f"store {uri}: {error}: name the folder in full") from None
    if scheme.lower() != "s3":
        raise StoreError(
            f"store {re.sub(r'//[^/]*@', '//', uri)} starts with {scheme}://, but a store is a folder or s3://bucket/prefix: "
            "for another server that speaks S3, name its bucket so and set AWS_ENDPOINT_URL_S3"
        )
    from trainables.store.s3 import S3Store  # a store in a folder does not pay the 0.2 s of boto3

    bucket, _, prefix = rest.partition("/")
    return S3Store(bucket, prefix.removesuffix("/"), endpoint_url)

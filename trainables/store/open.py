"""Opens a store by its URI."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from trainables.errors import StoreError
from trainables.plugins.call import choose_keys, naming
from trainables.plugins.kind import is_plugin
from trainables.plugins.kinds import STORE
from trainables.plugins.trust import trust
from trainables.store.base import Store
from trainables.store.keys import is_unicode

PROTOCOL = ("put", "create", "get", "stat", "find", "folders", "written_unix_s", "delete", "check", "check_writable")


def open_store(uri: str, endpoint_url: str | None = None) -> Store:
    """The store that `uri` names: a folder, `s3://bucket/prefix` at `endpoint_url` (None: boto3's default), or that of a plug-in:
    a scheme that an installed package registers, or `module:object://…`.

    Accesses neither disk nor network. Raises `StoreError` for any other URI, and `PluginUnusable`.
    """
    if not uri.strip() or "\0" in uri or not is_unicode(uri):
        raise StoreError(f"store is {uri!a}: name a folder (in UTF-8, as its runs record it), or s3://bucket/prefix")
    scheme, separator, _ = uri.partition("://")
    name = "" if not separator else scheme if is_plugin(scheme) else scheme.lower()
    if name in STORE.built_in:
        store: Store = STORE.find(name)(uri, endpoint_url)
        return store
    return _open_custom(uri, name, endpoint_url)


def _open_custom(uri: str, name: str, endpoint_url: str | None) -> Store:
    """The store of a plug-in, which is called with the whole URI, and with `endpoint_url` if its signature names it.

    A URI comes from a person, never from a record (those name weights by their hash), so what it names is trusted.
    """
    if is_plugin(name):
        trust([name])
        function = STORE.find(name)
    else:
        function = _find_scheme(name, uri)
    shown = re.sub(r"//[^/]*@", "//", uri)
    with naming(f"store {shown}", StoreError, what=name):
        found = function(uri, **choose_keys(function, 1, {"endpoint_url": endpoint_url}, {}))
    if missing := [method for method in PROTOCOL if not callable(getattr(found, method, None))]:
        raise StoreError(
            f"store {shown}: {name} made a {type(found).__name__}, which is no store: it has no {', '.join(missing)}"
        )
    opened: Store = found
    return opened


def _find_scheme(scheme: str, uri: str) -> Callable[..., Any]:
    entries = [entry for entry in entry_points(group=STORE.group) if entry.name == scheme]
    shown = re.sub(r"//[^/]*@", "//", uri)
    if len(entries) == 1:
        with naming(f"store {shown}", StoreError, what=f"the import of {entries[0].value}"):
            function: Callable[..., Any] = entries[0].load()
        return function
    if entries:
        packages = " and ".join(sorted(entry.dist.name if entry.dist else entry.value for entry in entries))
        raise StoreError(f"store {shown} starts with {scheme}://, which {packages} both register: remove one of them")
    raise StoreError(
        f"store {shown} starts with {scheme}://, but a store is a folder or s3://bucket/prefix: "
        "for another server that speaks S3, name its bucket so and set AWS_ENDPOINT_URL_S3; for another kind of store, install a "
        "package that registers it"
    )

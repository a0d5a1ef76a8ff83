"""Where data lies: a folder, an archive, a prefix of a bucket, each a list of named files that can be opened.

`open_source` opens what a person typed. Readers of layouts see places alone, so each reads from disks, archives and buckets.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.places.open import Source, open_source
    from trainables.places.place import Place

__all__ = ["Place", "Source", "open_source"]

__getattr__ = lazy_names(__name__, {"open": ("Source", "open_source"), "place": ("Place",)})

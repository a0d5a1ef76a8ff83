"""What is wrong with a set of images, or may be: a file for each kind, each a pure function from an `ImageSet` to findings.

`find.find_all` asks all of them. A finding is a sentence with the override that mends it; nothing here changes an image or a split.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.data.finding import DataFinding
    from trainables.findings.find import find_all, look_through

__all__ = ["DataFinding", "find_all", "look_through"]

__getattr__ = lazy_names(__name__, {"find": ("DataFinding", "find_all", "look_through")})

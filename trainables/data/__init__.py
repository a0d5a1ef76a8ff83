"""Images in memory, each in training, validation or test, and their records.

`images.ImageSet` is valid by construction; `subset` selects rows of it; `floor` and `unseen` say what they are worth without a net;
`data_table` and `pseudo_table` are its records in a store; `equalise` changes pixels of a batch, in training and in a program.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.data.data_table import DataTable, read_data_table
    from trainables.data.image_shape import ImageShape
    from trainables.data.images import ImageArrays, ImageSet
    from trainables.data.pseudo_table import PseudoTable

__all__ = ["DataTable", "ImageArrays", "ImageSet", "ImageShape", "PseudoTable", "read_data_table"]

__getattr__ = lazy_names(
    __name__,
    {
        "data_table": (
            "DataTable",
            "read_data_table",
        ),
        "image_shape": ("ImageShape",),
        "images": (
            "ImageArrays",
            "ImageSet",
        ),
        "pseudo_table": ("PseudoTable",),
    },
)

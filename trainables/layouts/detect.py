"""Finds out in which layout a source holds its images, with labels or without."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from trainables.config.data import DataConfig
from trainables.data.reading import PassedOver
from trainables.errors import DataError, StoreError
from trainables.layouts.arrays.arrays_file import matches_arrays, read_arrays_file
from trainables.layouts.arrays.cifar import matches_cifar, read_cifar
from trainables.layouts.arrays.idx import matches_idx, read_idx_files
from trainables.layouts.arrays.mat import matches_flowers, matches_svhn, read_flowers, read_svhn
from trainables.layouts.arrays.stl10 import matches_stl10, read_stl10
from trainables.layouts.arrays.unlabelled_arrays import holds_images, list_arrays
from trainables.layouts.base.image_files import (
    HEAD_BYTES,
    SUFFIXES,
    find_images,
    has_image_ending,
    is_left_behind,
    looks_like_image,
)
from trainables.layouts.base.listing import ListedImage, Listing
from trainables.layouts.base.trained_classes import refuse_untrained
from trainables.layouts.base.unlabelled_files import InnerArchives, is_archive, list_bad, list_image_files
from trainables.layouts.folders.class_folders import read_folders
from trainables.layouts.folders.named_files import read_named_files
from trainables.layouts.folders.published import (
    matches_birds,
    matches_food,
    matches_pets,
    read_birds,
    read_food,
    read_pets,
)
from trainables.layouts.shards.arrow_folder import matches_arrow_folder, read_arrow_folder
from trainables.layouts.shards.webdataset import matches_webdataset, read_webdataset
from trainables.layouts.tables.parquet_images import matches_parquet, read_parquet_images
from trainables.layouts.tables.table import ARROWS, TEXTS, matches_table, read_table
from trainables.layouts.tables.table_folder import matches_table_folder, read_table_folder
from trainables.layouts.tables.unlabelled_rows import list_held, list_rows
from trainables.places.archive import TarPlace
from trainables.places.open import Source
from trainables.places.place import Place, read_head

IMAGE_FILES, ONE_IMAGE = "image files", "an image"
"""What `list_unlabelled` takes a folder or an archive of images for, and a file that is one."""


@dataclass(frozen=True)
class Layout:
    """A way in which people keep labelled images."""

    name: str
    matches: Callable[[Source], bool]
    """Whether a source has this layout, from names of files and their first bytes alone. Raises nothing but `DataError`."""
    read: Callable[[Source, DataConfig], Listing]
    """Lists the images. Raises `DataError` where the source has the layout and is damaged, or lacks what `config` names."""


LAYOUTS: tuple[Layout, ...] = (
    Layout("idx", matches_idx, read_idx_files),
    Layout("cifar", matches_cifar, read_cifar),
    Layout("stl10", matches_stl10, read_stl10),
    Layout("svhn", matches_svhn, read_svhn),
    Layout("flowers", matches_flowers, read_flowers),
    Layout("pets", matches_pets, read_pets),
    Layout("food", matches_food, read_food),
    Layout("birds", matches_birds, read_birds),
    Layout("arrays", matches_arrays, read_arrays_file),
    Layout("webdataset", matches_webdataset, read_webdataset),
    Layout("arrow folder", matches_arrow_folder, read_arrow_folder),
    Layout("parquet", matches_parquet, read_parquet_images),
    Layout("table", matches_table, read_table),
    Layout("folder with tables", matches_table_folder, read_table_folder),
    Layout("folders", lambda source: not source.file, read_folders),
)
"""All layouts, in the order in which they are tried: the first that matches reads the source."""


def list_images(source: Source, config: DataConfig) -> Listing:
    """The images of `source`, read by the first of `LAYOUTS` that matches; with `label_regex`, by the files' names.

    Raises `DataError` where the layout is none of them, and as its reader does.
    """
    if config.label_regex is not None:
        listing = read_named_files(source, config)
        refuse_untrained(listing, config)
        return listing
    found = next((layout for layout in LAYOUTS if layout.matches(source)), None)
    if found is None:
        raise DataError(
            f"{source.name} is in no layout that is read: name a folder of images, a table, an archive or a file of arrays with "
            "data.path="
        )
    listing = found.read(source, config)
    refuse_untrained(listing, config)
    return listing


def list_unlabelled(source: Source, config: DataConfig, files: Sequence[str] | None = None) -> Listing:
    """The images of `source`, of which no label is asked and no split is made; of a place only those among `files`, if given.

    They are every image file of a folder or an archive at any depth, or, where it has none, the images within its files: archives,
    Parquet and Arrow files, and arrays; or what a table names and what a file of arrays holds. Ids are the names in the place or
    the table, which may recur, or positions. An image that is missing or damaged is listed, and cannot be opened.
    Raises `DataError` where `source` as a whole cannot be read; the listing may be empty.
    """
    if source.file:
        return _list_file(source, config)
    place = source.place
    files = place.files() if files is None else files
    found, others = find_images(place, files)
    if found:
        if isinstance(place, TarPlace):
            samples = {_sample_of(file) for file in found}
            others = [other for other in others if _sample_of(other.name) not in samples]
        return Listing(place.name, IMAGE_FILES, list_image_files(place, found), passed_over=others)
    return _list_inner(place, [file for file in files if not is_left_behind(file)], others, config)


def _list_file(source: Source, config: DataConfig) -> Listing:
    """The images that are meant by one file."""
    if has_image_ending(source.file):
        return Listing(source.file, ONE_IMAGE, list_image_files(source.place, [source.file]))
    if matches_table(source):
        return list_rows(source, config)
    listing = list_arrays(source.place, source.file, config)
    if listing is not None:
        return listing
    try:
        head = read_head(source.place, source.file, HEAD_BYTES)
    except OSError as error:
        raise DataError(f"{source.name} cannot be read: {error.strerror or error}") from None
    if not looks_like_image(head):
        raise DataError(
            f"{source.name} ends with {PurePosixPath(source.file).suffix or 'nothing'} and holds no image: images end with "
            f"{' '.join(SUFFIXES)}, tables with {' '.join((*TEXTS, *ARROWS))}; archives and files of arrays are read, too"
        )
    return Listing(source.file, ONE_IMAGE, list_image_files(source.place, [source.file]))


def _list_inner(place: Place, files: Sequence[str], others: Sequence[PassedOver], config: DataConfig) -> Listing:
    """The images within files that are none themselves; their ids start with the file's name."""
    archives = InnerArchives(place)
    images: list[ListedImage] = []
    notes: dict[str, None] = {}
    read = set()
    for file in sorted(files):
        try:
            if is_archive(file):
                found = archives.list_images(file)
            else:
                listing = _read_inner(place, file, files, config)
                notes |= dict.fromkeys(listing.notes if listing else ())
                found = (
                    [replace(image, image_id=f"{file}/{image.image_id}") for image in listing.images] if listing else []
                )
        except StoreError:
            raise  # the bucket does not answer, which is no fault of a file
        except (DataError, OSError) as error:
            found = [list_bad(file, getattr(error, "strerror", None) or str(error))]
        if found:
            images += found
            read.add(file)
    return Listing(
        place.name,
        "files of images",
        images,
        passed_over=[one for one in others if one.name not in read],
        notes=[*notes],
    )


def _read_inner(place: Place, file: str, files: Sequence[str], config: DataConfig) -> Listing | None:
    if file.lower().endswith(ARROWS):
        is_cache = file.endswith(".arrow") and PurePosixPath(file).name.startswith("cache-")
        return None if is_cache else list_held(Source(place, file), config)
    if file.lower().endswith(".npy") and not holds_images(file, files):
        return None
    return list_arrays(place, file, config)


def _sample_of(file: str) -> str:
    """What the files of one sample of WebDataset have in common."""
    folder, slash, name = file.rpartition("/")
    return folder + slash + name.partition(".")[0]

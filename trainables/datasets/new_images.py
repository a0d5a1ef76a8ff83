"""Images to be predicted: from all that `data.path` reads, labels or not, decoded as those that the nets were trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from trainables.config.data import DataConfig
from trainables.data.decoding import Decoding
from trainables.decoding.decode import decode_content, opening, reason_of, some_of
from trainables.decoding.pixels import Pixels
from trainables.errors import DataError, ObjectMissing, StoreError
from trainables.layouts.base.image_files import SUFFIXES, is_system_folder
from trainables.layouts.base.listing import ListedImage
from trainables.layouts.detect import ONE_IMAGE, list_unlabelled
from trainables.places.folder import FolderPlace
from trainables.places.open import open_source

CHUNK_BYTES = 64 * 2**20
MOST_IN_CHUNK = 2048


@dataclass(frozen=True)
class BadImage:
    """An image that cannot be predicted."""

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Chunk:
    """A batch of images: names of the readable ones, their pixels uint8 (images, height, width, channels), and the bad ones."""

    names: tuple[str, ...]
    pixels: Pixels
    bad: tuple[BadImage, ...]


@dataclass(frozen=True)
class FoundImages:
    """The images that a source names."""

    images: Sequence[ListedImage]
    """Their ids are the names that a table of predictions has, and may recur."""
    passed_over: tuple[BadImage, ...] = ()
    """Files that are no images, or that systems leave, and hidden folders."""
    unread: tuple[BadImage, ...] = ()
    """Unreadable folders, whose images are therefore missing."""
    notes: tuple[str, ...] = ()
    """Sentences for the person: how a table was understood, and the key that says otherwise."""


def find_new_images(source: str, config: DataConfig | None = None) -> list[ListedImage]:
    """The images that `locate_images` finds, without the ignored files."""
    return list(locate_images(source, config).images)


def locate_images(source: str, config: DataConfig | None = None) -> FoundImages:
    """The images in `source`, which is whatever `data.path` may name; of `config` only the keys of tables and of buckets are used.

    Every image file of a folder or an archive counts, at any depth; see `list_unlabelled`. Names are paths relative to the folder,
    names in the table, or positions in the array. Raises `DataError` where there are no images, and `StoreError` where a bucket
    does not answer.
    """
    config = config or DataConfig(path=source or ".")
    opened = open_source(source, config.endpoint_url, "IMAGES")
    files: list[str] | None = None
    hidden: list[BadImage] = []
    unread: list[BadImage] = []
    if isinstance(opened.place, FolderPlace) and not opened.file:
        try:
            files, hidden, unread = _walk(opened.place.name)
        except OSError as error:
            raise DataError(f"{source} cannot be read: {error.strerror or error}") from None
    listing = list_unlabelled(opened, config, files)
    passed_over = [*hidden, *(BadImage(other.name, other.reason) for other in listing.passed_over)]
    found = FoundImages(
        listing.images, tuple(sorted(passed_over, key=_name)), tuple(sorted(unread, key=_name)), tuple(listing.notes)
    )
    if not found.images:
        others = [f"{one.name} ({one.reason})" for one in (*found.unread, *found.passed_over)]
        held = f"; it holds {some_of(others)}" if others else ""
        raise DataError(
            f"{source} holds no image ({' '.join(SUFFIXES)}){held}: name a folder, a table or a file with some"
        )
    if listing.layout == ONE_IMAGE:
        return replace(found, images=[replace(found.images[0], image_id=source)])
    return found


def read_chunks(images: Sequence[ListedImage], decoding: Decoding) -> Iterator[Chunk]:
    """The images in their order, in chunks; the next chunk is read while one is processed.

    Raises `StoreError` where a bucket stops answering, which is not an error of an image.
    """
    count = min(MOST_IN_CHUNK, max(1, CHUNK_BYTES // (decoding.height * decoding.width * decoding.channels)))
    Image.init()  # here, because loading the readers is not safe from several threads at once
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        under_way: tuple[Sequence[ListedImage], list[Future[Pixels | BadImage]]] = [], []
        for start in range(0, len(images) + count, count):
            part = images[start : start + count]
            (before, futures), under_way = under_way, (part, [pool.submit(_load, image, decoding) for image in part])
            if before:
                yield _gather(before, [future.result() for future in futures], decoding)


def _load(image: ListedImage, decoding: Decoding) -> Pixels | BadImage:
    try:
        image.image_id.encode()
        with opening(image.open) as content:
            return decode_content(content, decoding)
    except UnicodeEncodeError:
        return BadImage(ascii(image.image_id), "its name is not UTF-8: rename it")
    except ObjectMissing:
        return BadImage(image.image_id, "no such object")
    except StoreError:
        raise
    except Exception as error:  # on damaged files Pillow's readers raise nearly anything
        return BadImage(image.image_id, reason_of(error))


def _gather(images: Sequence[ListedImage], loaded: Sequence[Pixels | BadImage], decoding: Decoding) -> Chunk:
    good = [(image.image_id, one) for image, one in zip(images, loaded, strict=True) if not isinstance(one, BadImage)]
    shape = (0, decoding.height, decoding.width, decoding.channels)
    pixels = np.stack([one for _, one in good]) if good else np.empty(shape, np.uint8)
    return Chunk(tuple(name for name, _ in good), pixels, tuple(one for one in loaded if isinstance(one, BadImage)))


def _name(one: BadImage) -> str:
    return one.name


def _walk(top: str) -> tuple[list[str], list[BadImage], list[BadImage]]:
    """Names of all files below `top`, but for hidden folders and those of systems, which come second; third, folders that cannot
    be read. Raises `OSError` where `top` itself cannot."""
    files: list[str] = []
    passed_over: list[BadImage] = []
    unread: list[BadImage] = []

    def fail(error: OSError) -> None:
        if str(error.filename) == top:
            raise error
        name = str(error.filename)[len(top) :].strip(os.sep)
        unread.append(BadImage(f"{name}/", f"a folder that cannot be read ({error.strerror})"))

    for here, folders, held in os.walk(top, onerror=fail, followlinks=True):
        below = here[len(top) :].strip(os.sep)
        prefix = f"{below}/" if below else ""
        whys = {name: why for name in folders if (why := _why_not_walked(here, name))}
        passed_over += [BadImage(f"{prefix}{name}/", why) for name, why in whys.items()]
        folders[:] = [name for name in folders if name not in whys]
        files += [prefix + name for name in held]
    return files, passed_over, unread


def _why_not_walked(here: str, name: str) -> str:
    if is_system_folder(name):
        return "a hidden folder, or one that a system makes"
    child = Path(here, name)
    leads_back = child.is_symlink() and Path(here).resolve().is_relative_to(child.resolve())
    return "a link to a folder that it lies in" if leads_back else ""

"""Tells image files from all that lies beside them: by ending, by content, and by the names that systems and editors leave."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from trainables.data.reading import PassedOver
from trainables.places.place import Place, read_head

SUFFIXES = (
    *(
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jif",
        ".jfif",
        ".jfi",
        ".pjpeg",
        ".pjp",
        ".bmp",
        ".dib",
        ".gif",
        ".webp",
    ),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".avifs"),
)
"""Endings of image files, in lower case."""

_SUFFIXES = frozenset(SUFFIXES)

_UNREADABLE = {
    ".heic": "HEIC, which no reader here decodes: save it as JPEG or PNG",
    ".heif": "HEIF, which no reader here decodes: save it as JPEG or PNG",
    ".jp2": "JPEG 2000: save it as PNG",
    ".jxl": "JPEG XL: save it as PNG",
    ".tga": "Targa: save it as PNG",
    ".psd": "a Photoshop document: save it as PNG",
    ".svg": "a drawing: save it as PNG",
    ".dcm": "DICOM: save it as PNG with 8 or 16 bits",
    ".nef": "a camera's raw file: save it as JPEG or PNG",
    ".cr2": "a camera's raw file: save it as JPEG or PNG",
    ".cr3": "a camera's raw file: save it as JPEG or PNG",
    ".arw": "a camera's raw file: save it as JPEG or PNG",
    ".dng": "a camera's raw file: save it as JPEG or PNG",
}
"""Endings of images that are not read: they are counted apart, since a person takes them for images of the set."""

_NO_IMAGE = frozenset(
    [
        ".txt",
        ".csv",
        ".tsv",
        ".json",
        ".jsonl",
        ".xml",
        ".yaml",
        ".yml",
        ".md",
        ".html",
        ".htm",
        ".py",
        ".ipynb",
        ".pdf",
        ".doc",
        ".docx",
        ".xls",
        ".xlsx",
        ".zip",
        ".tar",
        ".gz",
        ".tgz",
        ".7z",
        ".rar",
        ".npz",
        ".npy",
        ".mat",
        ".pkl",
        ".pickle",
        ".parquet",
        ".arrow",
        ".db",
        ".ini",
        ".log",
        ".mp4",
        ".mov",
        ".avi",
        ".m4v",
        ".mp3",
        ".wav",
        ".bak",
        ".tmp",
        ".part",
        ".crdownload",
        ".download",
        ".swp",
        ".orig",
        ".old",
        ".lock",
        ".url",
        ".lnk",
        ".aae",
        ".thm",
        ".xmp",
        ".js",
        ".css",
        ".sh",
        ".bat",
        ".exe",
        ".bin",
        ".pt",
        ".pth",
        ".onnx",
        ".safetensors",
        ".md5",
        ".sha256",
    ]
)
"""Endings of files that are not looked into: they are no images, or what a program left half written."""

_SYSTEM_FOLDERS = frozenset(
    [
        "__macosx",
        "@eadir",
        "#recycle",
        "@recycle",
        "$recycle.bin",
        "lost+found",
        "__pycache__",
        "thumbnails_cache",
        "_gsdata_",
    ]
) | {"system volume information", "@__thumb"}
_SYSTEM_FILES = frozenset(["thumbs.db", "ehthumbs.db", "desktop.ini", "picasa.ini", "icon", "folder.jpg.tmp"])

HEAD_BYTES = 16

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\x00", b"MM\x00*")


def is_left_behind(file: str) -> bool:
    """Whether a file, or a folder above it, is hidden, or one that systems, drives and editors leave beside pictures.

    >>> [is_left_behind(name) for name in ("__MACOSX/a.jpg", "cat/._1.jpg", "cat/Thumbs.db", "cat/1.jpg~", "cat/1.jpg")]
    [True, True, True, True, False]
    """
    folder, _, name = file.rpartition("/")
    if folder and _is_within_system_folder(folder):
        return True
    return name.startswith((".", "~$")) or name.endswith("~") or name.casefold() in _SYSTEM_FILES


def is_system_folder(folder: str) -> bool:
    """Whether a folder of this name is hidden, or one that systems and drives make."""
    return folder.startswith(".") or folder.casefold() in _SYSTEM_FOLDERS


def has_image_ending(file: str) -> bool:
    """Whether the file's ending is that of an image that can be read.

    >>> [has_image_ending(name) for name in ("a/b.JPG", "a.b/c", "a/.png", "a.png.", "png", "a/..png")]
    [True, False, False, False, False, True]
    """
    return _ending(file) in _SUFFIXES


def is_unread_image(file: str) -> bool:
    """Whether the file's ending is that of an image which no reader here decodes, as `.heic`."""
    return _ending(file) in _UNREADABLE


def find_images(place: Place, files: Sequence[str]) -> tuple[list[str], list[PassedOver]]:
    """The image files among `files`, and all others with the reason why they are passed over.

    A file whose ending says nothing is an image where its first bytes are those of one.
    """
    images: list[str] = []
    others: list[PassedOver] = []
    unclear: list[str] = []
    for file in files:
        ending = _ending(file)
        if is_left_behind(file):
            others.append(PassedOver(file, "a hidden file, or one that a system leaves"))
        elif ending in _SUFFIXES:
            images.append(file)
        elif ending in _UNREADABLE:
            others.append(PassedOver(file, _UNREADABLE[ending]))
        elif ending in _NO_IMAGE:
            others.append(PassedOver(file, f"ends with {ending}, which is no image's ending"))
        else:
            unclear.append(file)
    for file, is_image in zip(unclear, _look_into(place, unclear), strict=True):
        if is_image:
            images.append(file)
        else:
            ending = _ending(file)
            others.append(PassedOver(file, f"ends with {ending or 'nothing'}, and its first bytes are no image's"))
    return sorted(images), sorted(others, key=lambda other: other.name)


def looks_like_image(head: bytes) -> bool:
    """Whether the first `HEAD_BYTES` bytes of a file are those of an image."""
    if head.startswith(_MAGIC):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    if head[4:12] in (b"ftypavif", b"ftypavis"):
        return True
    return head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace()


def _look_into(place: Place, files: Sequence[str]) -> list[bool]:
    def look(file: str) -> bool:
        try:
            return looks_like_image(read_head(place, file, HEAD_BYTES))
        except OSError:
            return False

    with ThreadPoolExecutor(8) as readers:
        return list(readers.map(look, files))


def _ending(file: str) -> str:
    """As `PurePosixPath.suffix`, in lower case and an eighth of the time."""
    name = file.rpartition("/")[2]
    at = name.rfind(".")
    return name[at:].lower() if 0 < at < len(name) - 1 else ""


@functools.lru_cache(maxsize=1024)
def _is_within_system_folder(folder: str) -> bool:
    return any(is_system_folder(name) for name in folder.split("/"))

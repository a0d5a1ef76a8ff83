"""A file that the user asks for with --out: checked before any work, written whole or not at all after it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from trainables.errors import SweepFileError
from trainables.store import layout
from trainables.store.atomic_file import replace_whole

STORE_FOLDERS = (layout.DATA, layout.TRIALS, layout.WEIGHTS_FOLDER, layout.SWEEPS)


def check_out(out: str, endings: Sequence[str] = ()) -> Path:
    """The file to write. Raises `SweepFileError` unless it ends with one of `endings` (none: any), its folder exists, and it
    lies outside the records of a store."""
    try:
        path = Path(out).expanduser()
        if endings and path.suffix.lower() not in endings:
            raise SweepFileError(f"--out is {out!r}: name a file that ends with {' or '.join(endings)}")
        if not out.strip() or "\0" in out:
            raise SweepFileError(f"--out is {out!r}: name a file")
        if not path.parent.is_dir() or path.is_dir():
            why = "is a folder" if path.is_dir() else f"lies in {path.parent}, which is no folder"
            raise SweepFileError(f"--out is {out!r}: it {why}: name a file in a folder that is there")
        if (store := _store_of(path.resolve())) is not None:
            raise SweepFileError(
                f"--out is {out!r}: it lies among the records of the store {store}: name a file elsewhere"
            )
    except (OSError, RuntimeError) as error:  # a name that is too long, or `~nobody`
        raise SweepFileError(
            f"--out is {out!r}: {getattr(error, 'strerror', None) or error}: name another file"
        ) from None
    return path


def _store_of(path: Path) -> Path | None:
    """The folder store among whose records `path` lies: a report in the place of a record would be taken for damage."""
    reserved = {layout.FORMAT_KEY, *(folder.rstrip("/") for folder in STORE_FOLDERS)}
    for folder in path.parents:
        if path.relative_to(folder).parts[0] in reserved and (folder / layout.FORMAT_KEY).is_file():
            return folder
    return None


def write_out(path: Path, data: bytes) -> None:
    """Write the file. If that fails, the former file is still there. Raises `SweepFileError`."""
    try:
        replace_whole(path, data)
    except OSError as error:
        raise SweepFileError(
            f"--out is {str(path)!r}: cannot be written ({error.strerror or error}): free space, correct its permissions, or name another file"
        ) from None

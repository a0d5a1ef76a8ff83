"""Uploads checkpoints in the background during training, one at a time and in order."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.store.base import Store


class Committer:
    """Writes checkpoints in a background thread. At most one upload is in progress; committing the next one waits for it.

    The next call, whichever it is, raises an error of the store. Call `flush` before a trial ends, so that everything that it
    reported is stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._under_way: Future[None] | None = None

    def commit(self, checkpoint: CheckpointId, parts: dict[str, bytes]) -> None:
        """Start to write a checkpoint. Raises the `StoreError` of the previous one, if that failed."""
        self.flush()
        self._under_way = self._thread.submit(write_checkpoint, self._store, checkpoint, parts)

    def flush(self) -> None:
        """Wait until all committed checkpoints are stored. Raises `StoreError` where the store kept failing."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def close(self) -> None:
        """Flush, and end the thread."""
        try:
            self.flush()
        finally:
            self._thread.shutdown()

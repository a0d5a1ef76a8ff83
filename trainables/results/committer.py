"""Checkpoints go to the store beside the training, one at a time and in order."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from trainables.results.checkpoint import CheckpointId, write_checkpoint
from trainables.store.base import Store


class Committer:
    """Writes checkpoints in a thread of its own. At most one is under way; handing over the next waits for it.

    An error of the store comes out of the next call, whichever that is. `flush` before a trial ends, so that nothing
    it reported is still on its way.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._under_way: Future[None] | None = None

    def commit(self, checkpoint: CheckpointId, parts: dict[str, bytes]) -> None:
        """Start to write one checkpoint. Raises the `StoreError` of the one before, if it failed."""
        self.flush()
        self._under_way = self._thread.submit(write_checkpoint, self._store, checkpoint, parts)

    def flush(self) -> None:
        """Wait until everything handed over is stored. Raises `StoreError` where the store stayed unwilling."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            under_way.result()

    def close(self) -> None:
        """Flush, and end the thread."""
        try:
            self.flush()
        finally:
            self._thread.shutdown()

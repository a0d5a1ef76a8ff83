"""Trains the trials of a run for real, without Ray: for the tests of what uses their weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from runner.journal.log import RunLog
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageSet, hash_labels
from trainables.results.committer import Committer
from trainables.results.config_file import write_config
from trainables.store.base import Store
from trainables.training.device_images import place_images
from trainables.training.trial import Trial


def train_trials(store: Store, log: RunLog, trials: Sequence[TrialConfig], images: ImageSet, epochs: int) -> None:
    """Train all of `trials`, which `log` has planned, one after the other on one thread, as a slot of one core does."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    placed, hashes = place_images(images.arrays, torch.device("cpu")), hash_labels(images)
    committer = Committer(store)
    try:
        for config in trials:
            write_config(store, config)
            log.start(config.trial_id)
            trial = Trial(config, placed, hashes, store, committer)
            for epoch in range(1, epochs + 1):
                step = trial.advance()
                assert step.result is not None, step.reason
                log.report(config.trial_id, step.result, True, ("finished", "") if epoch == epochs else None)
    finally:
        committer.close()
        torch.set_num_threads(threads)

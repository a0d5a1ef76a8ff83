"""Trains the trials of a run for real, without Ray: for the tests of what uses their weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from runner.run_log import RunLog
from trainables.commit import Committer
from trainables.config import TrialConfig
from trainables.device_images import place_images
from trainables.images import ImageSet, hash_labels
from trainables.store import Store
from trainables.trial import Trial
from trainables.trial_config import write_config


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

"""Builds the scheduler that a sweep file names."""

from __future__ import annotations

from runner.config.scheduler import SchedulerConfig
from runner.schedulers.base import Scheduler
from trainables.plugins.call import build
from trainables.plugins.kinds import SCHEDULER

PROTOCOL = ("add", "record", "decide", "pause", "promote", "resume", "end", "resolve_paused", "close")


def choose_scheduler(config: SchedulerConfig, seed: int) -> Scheduler:
    """The scheduler of a sweep or of one of its stages, with nothing recorded yet.

    Its class is called with those keys of the `scheduler` section, and `seed`, that its signature names. Raises `PluginUnusable` where
    a plug-in cannot be built, or is no scheduler.
    """
    known = {key: getattr(config, key) for key in SchedulerConfig.model_fields} | {"seed": seed}
    scheduler: Scheduler = build(SCHEDULER, config.method, (), known, config.custom_keys, PROTOCOL)
    return scheduler

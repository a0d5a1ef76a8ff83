"""Decorators that register a plug-in in this process, for notebooks and programs.

    @register_vote("mine/trimmed")
    def trimmed_mean(tables, weights): ...

Models and augmentations run in other processes, which cannot import what a notebook defines: put them into a module beside it,
and name them as `module:function`.
"""

from __future__ import annotations

from trainables.plugins.kinds import CALIBRATION, DATA, RULE, SCHEDULER, SEARCH, SELECTION, VOTE

register_data_source = DATA.register
register_selection = SELECTION.register
register_vote = VOTE.register
register_calibration = CALIBRATION.register
register_search = SEARCH.register
register_scheduler = SCHEDULER.register
register_rule = RULE.register

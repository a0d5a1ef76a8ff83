"""Sweeps: what is searched, how trials are placed and stopped, how runs resume, what they come to; and the command `caucus`.

Start with `config` (a sweep file), `pipeline` (a run from its start to its report) and `cli` (the command). `nightly.py` is
the script that clusters start. Builds on `trainables` and `ensembles`, which know nothing of it.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.config.checks import read_spec
    from runner.config.sweep import SweepSpec
    from runner.deploy.export import export_run
    from runner.pipeline import run_sweep
    from runner.plan.plan import plan_sweep
    from runner.runs.locate import locate
    from runner.runs.stored_run import StoredRun, load_run

__all__ = ["StoredRun", "SweepSpec", "export_run", "load_run", "locate", "plan_sweep", "read_spec", "run_sweep"]

__getattr__ = lazy_names(
    __name__,
    {
        "config.checks": ("read_spec",),
        "config.sweep": ("SweepSpec",),
        "deploy.export": ("export_run",),
        "pipeline": ("run_sweep",),
        "plan.plan": ("plan_sweep",),
        "runs.locate": ("locate",),
        "runs.stored_run": (
            "StoredRun",
            "load_run",
        ),
    },
)

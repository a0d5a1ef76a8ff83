"""Can Caucus run here, on this cluster file, on this Ray cluster, with these images? Facts and findings, each with its remedy."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.doctor.cluster_file import check_cluster_file
    from runner.doctor.finding import Checkup, Fact, Finding
    from runner.doctor.machine import check_machine
    from runner.doctor.nodes import check_joined_cluster

__all__ = ["Checkup", "Fact", "Finding", "check_cluster_file", "check_joined_cluster", "check_machine"]

__getattr__ = lazy_names(
    __name__,
    {
        "cluster_file": ("check_cluster_file",),
        "finding": (
            "Checkup",
            "Fact",
            "Finding",
        ),
        "machine": ("check_machine",),
        "nodes": ("check_joined_cluster",),
    },
)

"""`caucus export` writes a team as a bundle; `caucus predict` applies a bundle to images."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.deploy.export import export_run
    from runner.deploy.loaded_bundle import ReadyTeam, make_ready
    from runner.deploy.predict import predict_images, write_table

__all__ = ["ReadyTeam", "export_run", "make_ready", "predict_images", "write_table"]

__getattr__ = lazy_names(
    __name__,
    {
        "export": ("export_run",),
        "loaded_bundle": (
            "ReadyTeam",
            "make_ready",
        ),
        "predict": (
            "predict_images",
            "write_table",
        ),
    },
)

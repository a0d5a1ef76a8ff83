"""Output on this machine: streams that may lose their reader, and files that are written whole or not at all."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.output.console import Output, outlive_readers, outliving_terminal
    from runner.output.out_file import check_out, write_out

__all__ = ["Output", "check_out", "outlive_readers", "outliving_terminal", "write_out"]

__getattr__ = lazy_names(
    __name__,
    {
        "console": (
            "Output",
            "outlive_readers",
            "outliving_terminal",
        ),
        "out_file": (
            "check_out",
            "write_out",
        ),
    },
)

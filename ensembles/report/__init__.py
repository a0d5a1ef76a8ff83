"""The report of a run: one HTML file that needs no network, and the same figures as JSON.

`page` lays everything out once; `team` and `sweep` have a file for each section, `charts` draws SVG, `templates` holds the HTML.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.report.page import Report, ReportInput, lay_out, render_report, report_to_json, write_files

__all__ = ["Report", "ReportInput", "lay_out", "render_report", "report_to_json", "write_files"]

__getattr__ = lazy_names(
    __name__,
    {
        "page": (
            "Report",
            "ReportInput",
            "lay_out",
            "render_report",
            "report_to_json",
            "write_files",
        )
    },
)

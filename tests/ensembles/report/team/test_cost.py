"""What accuracy costs: the frontier by hand, and the section on the page."""

from __future__ import annotations

from dataclasses import replace

from ensembles.report.page import render_report
from ensembles.report.team.cost import frontier, lay_out
from tests.ensembles.samples import make_run
from trainables.results.record import TrialCost, rank

RUN = make_run()
RANKED = rank(RUN.records)


def cost(parameters: int) -> TrialCost:
    return TrialCost(parameters, 10 * parameters, 2e-5, 64, 6.4e-4, 2**20, False)


def test_the_frontier_is_whom_no_smaller_net_beats() -> None:
    sizes = [50, 70, 50, 30, 40, 10]
    records = [replace(record, cost=cost(size)) for record, size in zip(RANKED, sizes, strict=False)]
    assert frontier(records) == [records[0], records[3], records[5]]  # equals go to the better one


def test_trials_that_were_not_measured_are_left_out() -> None:
    assert lay_out(RANKED, RUN.team) is None
    assert "What accuracy costs" not in render_report(RUN)
    one = [replace(RANKED[0], cost=cost(650)), *RANKED[1:]]
    section = lay_out(one, RUN.team)
    assert section
    assert (section.measured, section.charts, section.more) == (1, (), 0)  # one point is no chart
    (line,) = section.lines
    assert (line.parameters, line.flops, line.latency, line.batch_latency) == (650, "6.5 k", "20 µs", "10 µs")
    assert (line.memory, line.measured) == ("1.0 MiB", False)


def test_the_page_shows_both_charts_and_the_table() -> None:
    records = [replace(record, cost=cost(1000 * (at + 1))) for at, record in enumerate(reversed(RANKED))]
    page = render_report(replace(RUN, records=records))
    assert page == render_report(replace(RUN, records=records))
    assert page.count('<a href="#cost">Cost</a>') == page.count("What accuracy costs") == 1
    assert "over the parameters of their nets" in page
    assert "over the operations of one prediction of their nets" in page
    section = lay_out(records, RUN.team)
    assert section
    assert len(section.charts) == 2
    assert all(line.trial_id in page for line in section.lines)

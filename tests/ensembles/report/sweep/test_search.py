"""The report on the search: everything shown once, in bounds, and untrusted text shown as text."""

from __future__ import annotations

import re
from dataclasses import replace

from ensembles.analysis.ablation import Contrast, Mean
from ensembles.analysis.search_summary import RangeCurve, SearchDecision, SearchSummary, StageRow
from ensembles.analysis.seed_noise import measure_noise
from ensembles.report.page import render_report
from ensembles.report.sweep.search import FIRST_DECISIONS, LAST_DECISIONS, MOST_FOLDED, MOST_GROUPS, lay_out
from tests.ensembles.report.test_page import HOSTILE, Reading, headings
from tests.ensembles.samples import make_record, make_run, make_summary
from trainables.config.model import ModelConfig

RUN = make_run()
SUMMARY = make_summary(RUN)
PAGE = render_report(replace(RUN, search=SUMMARY))


def section(page: str) -> str:
    """What stands in the section on the search."""
    return page.partition('<section aria-labelledby="search">')[2].partition("</section>")[0]


def subheadings(page: str) -> list[str]:
    return re.findall(r"<h3[^>]*>([^<]+)</h3>", section(page))


def numbered(count: int) -> SearchSummary:
    return SearchSummary(decisions=tuple(SearchDecision("", "border", f"decision <{n}>") for n in range(1, count + 1)))


def test_levels_of_arms_are_shown_with_intervals_and_without_an_unmeasured_gap() -> None:
    assert SUMMARY.ablation is not None
    plain = SUMMARY.ablation.levels[0]
    assert plain.validation.ci95 is not None
    low, high = plain.validation.ci95
    assert f"{plain.validation.value:.2%}{low:.2%} to {high:.2%}\N{EN DASH}" in "".join(Reading(PAGE).text.split("\n"))
    gap = Mean(0.123, (0.1, 0.146))
    change = Contrast(0.3, 0.123, -0.177, (-0.2, -0.154))
    seen = replace(SUMMARY.ablation, levels=(replace(plain, fit=Mean(0.99, None), gap=gap, gap_change=change),))
    text = "".join(Reading(render_report(replace(RUN, search=replace(SUMMARY, ablation=seen)))).text.split("\n"))
    assert "99.00%" in text
    assert "+12.30+10.00 to +14.60-17.70-20.00 to -15.40" in text


def test_a_search_without_a_summary_has_no_section() -> None:
    page = render_report(RUN)
    assert SearchSummary().is_empty
    assert lay_out(SearchSummary()) is None
    assert "The search" not in headings(page)
    assert 'href="#search"' not in page


def test_the_section_stands_before_the_trials_and_is_in_the_navigation() -> None:
    titles = headings(PAGE)
    assert titles.index("The search") == titles.index("All trials") - 1
    assert '<li><a href="#search">Search</a></li>' in PAGE
    assert subheadings(PAGE) == [
        "Decisions",
        "Stages",
        "One change at a time",
        "Seed noise",
        "What pruning missed",
        "Learning-rate range tests",
        "Lineage of the best member",
    ]


def test_parts_that_are_missing_leave_no_heading() -> None:
    page = render_report(replace(RUN, search=replace(SearchSummary(), audit=SUMMARY.audit)))
    assert subheadings(page) == ["What pruning missed"]


def test_the_page_stays_whole_with_everything_on_it() -> None:
    seen = Reading(PAGE)
    ids = [value for _, name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    anchors = {value[1:] for tag, name, value in seen.attributes if tag == "a" and name == "href"}
    assert anchors <= set(ids)
    assert render_report(replace(make_run(), search=make_summary(make_run()))) == PAGE


def test_every_table_scrolls_in_a_region_of_its_own() -> None:
    tables = re.findall(r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+">\n<table', PAGE)
    assert len(tables) == PAGE.count("<table")


def test_differences_are_shown_with_their_intervals() -> None:
    text = Reading(PAGE).text
    assert SUMMARY.ablation is not None
    for row in SUMMARY.ablation.rows:
        assert row.validation is not None
        assert row.validation.ci95 is not None
        low, high = row.validation.ci95
        assert f"{100 * row.validation.difference:+.2f}{100 * low:+.2f} to {100 * high:+.2f}" in text
    assert "1 left out" in text
    assert "0 of 2 reached it" in text
    assert re.findall(r'<tr class="(better|worse|open)( together)?">', PAGE) == [
        ("better", ""),
        ("open", ""),
        ("worse", ""),
        ("better", " together"),
    ]


def test_ties_are_marked_in_the_table_of_seed_noise() -> None:
    assert PAGE.count('<span class="mark">tied</span>') == 1
    assert "1 of 3 other configurations is tied with the best" in Reading(PAGE).text


def test_a_decision_leads_to_its_trial_if_that_is_on_the_page() -> None:
    assert f'<a class="id" href="#trial-1">{RUN.records[0].trial_id}</a>' in section(PAGE)
    assert '<span class="id">abababababab</span>' in PAGE


def test_many_decisions_are_folded_between_the_first_and_the_last() -> None:
    page = section(render_report(replace(RUN, search=numbered(500))))
    before, _, rest = page.partition("<details>")
    folded, _, after = rest.partition("</details>")
    assert before.count("decision &lt;") == FIRST_DECISIONS
    assert "and 482 more" in folded
    assert folded.count("decision &lt;") == 482
    assert f'start="{FIRST_DECISIONS + 1}"' in folded
    assert f'start="{500 - LAST_DECISIONS + 1}"' in after
    assert "decision &lt;500&gt;" in after


def test_ten_thousand_decisions_do_not_make_a_large_page() -> None:
    page = render_report(replace(RUN, search=numbered(10_000)))
    assert page.count("decision &lt;") == FIRST_DECISIONS + MOST_FOLDED + LAST_DECISIONS
    assert "9,482 more are not on this page" in page
    assert "decision &lt;10000&gt;" in page


def test_few_decisions_are_not_folded() -> None:
    count = FIRST_DECISIONS + LAST_DECISIONS + 1
    shown = lay_out(numbered(count))
    assert shown is not None
    assert shown.decisions is not None
    assert (len(shown.decisions.first), shown.decisions.folded, shown.decisions.last) == (count, (), ())


def test_many_configurations_and_range_tests_are_bounded() -> None:
    groups = [
        tuple(make_record((0.5 + 0.001 * width,), seed=seed, model=ModelConfig(width=width)) for seed in (0, 1))
        for width in range(1, 101)
    ]
    curves = tuple(replace(SUMMARY.range_tests[0], label=f"model {number}") for number in range(15))
    shown = lay_out(SearchSummary(noise=measure_noise(groups), range_tests=curves))
    assert shown is not None
    assert shown.noise is not None
    assert (len(shown.noise.lines), shown.noise.more) == (MOST_GROUPS, 100 - MOST_GROUPS)
    assert (len(shown.charts), [curve.label for curve in shown.undrawn]) == (12, ["model 12", "model 13", "model 14"])


def test_a_range_test_without_a_curve_is_shown_by_its_bounds() -> None:
    page = render_report(replace(RUN, search=SearchSummary(range_tests=(RangeCurve("small", (), (), 0.001, 0.02),))))
    assert "1 that is not drawn" in page
    assert '<th scope="row" class="wrap">small</th><td>0.001</td><td>0.02</td>' in page


def test_untrusted_text_is_shown_as_text() -> None:
    assert SUMMARY.ablation is not None
    arm = replace(SUMMARY.ablation.rows[0], name=HOSTILE)
    hostile = replace(
        SUMMARY,
        decisions=(SearchDecision(HOSTILE, HOSTILE, HOSTILE, HOSTILE),),
        stages=(StageRow(HOSTILE, HOSTILE, 1, 1, None, {HOSTILE: HOSTILE}),),
        ablation=replace(SUMMARY.ablation, rows=(arm,), levels=(replace(SUMMARY.ablation.levels[0], name=HOSTILE),)),
        range_tests=(replace(SUMMARY.range_tests[0], label=HOSTILE), RangeCurve(HOSTILE, (), (), 0.1, 1.0)),
        lineage=(replace(SUMMARY.lineage[0], trial_id=HOSTILE, values={HOSTILE: HOSTILE}),),
    )
    seen = Reading(render_report(replace(RUN, search=hostile)))
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert seen.text.count(HOSTILE) == 15

from dataclasses import replace

from ensembles.evaluation.comparison import Change
from ensembles.nights.compare import NightComparison
from ensembles.nights.summary import Cause, MembersChange, NightFacts, NightMember, NightSummary
from ensembles.report.page import render_report
from ensembles.report.sweep.night import lay_out
from tests.ensembles.report.test_page import Reading
from tests.ensembles.samples import make_run

COMPARISON = NightComparison(
    images=380,
    images_before=400,
    images_now=390,
    matched_by="image_id",
    relabelled=4,
    change=Change(0.95, 0.90, -0.05, (-0.08, -0.02), 0.004),
    gained=1,
    lost=20,
    gained_ids=("<i>a</i>",),
    lost_ids=tuple(f"image {number}" for number in range(15)),
)
SUMMARY = NightSummary(
    run="digits/2026-11-02",
    number=2,
    decided_unix_s=1.0,
    verdict="worse",
    sentence="worse than digits/<b>1</b>",
    facts=NightFacts("d2", "0.1.0", None, "c0de", {}, {}),
    against="digits/<b>1</b>",
    warm_start="begins with the best points of digits/1",
    comparison=COMPARISON,
    members=MembersChange(
        stayed=(NightMember("ab" * 6, 1, 0.5, ""),),
        joined=(NightMember("cd" * 6, 2, 0.25, "model.name=<script>alert(1)</script>"),),
        left=(),
    ),
    causes=(Cause("configuration", "search.space.x <b>1</b> -> 2"), Cause("versions", "torch 1 -> 2")),
    unchanged=("the code",),
    notes=("nothing was trained",),
)


def test_the_section_says_what_the_comparison_is_worth_and_what_changed():
    found = lay_out(SUMMARY)
    assert found.sentence == "Worse than digits/<b>1</b>."
    assert found.remarks == (
        "of 390 test images 380 were test images of the earlier night too: the comparison is on these alone",
        "the pixels of all images have changed since then: images are matched by their names",
        "4 of the images that both have had another label then: both nights are scored by today's labels",
        "nothing was trained",
        "begins with the best points of digits/1",
    )
    assert found.causes == (("Configuration", "search.space.x <b>1</b> -> 2"), ("Versions", "torch 1 -> 2"))
    assert found.unchanged == "the code"


def test_the_first_night_has_nothing_to_compare():
    summary = replace(SUMMARY, verdict="accepted", against=None, comparison=None, members=None, causes=(), notes=())
    assert lay_out(replace(summary, warm_start="")).remarks == ()
    page = render_report(replace(make_run(), night=summary))
    assert '<h2 id="night">' in page
    assert "What changed since" not in page


def test_the_page_shows_it_and_escapes_what_others_wrote():
    page = render_report(replace(make_run(), night=SUMMARY))
    section = page[page.index('<h2 id="night">') :].partition("</section>")[0]
    for text in ("<script>", "<b>", "<i>"):
        assert text not in section
    assert "&lt;i&gt;a&lt;/i&gt;" in section
    assert "Wrong now, right then: 20" in section
    assert "and 5 more" in section
    assert "1 stayed." in section
    assert '<a href="#night">Night</a>' in page
    Reading(page)


def test_a_run_that_is_no_night_has_no_such_section():
    page = render_report(make_run())
    assert 'id="night"' not in page
    assert 'href="#night"' not in page

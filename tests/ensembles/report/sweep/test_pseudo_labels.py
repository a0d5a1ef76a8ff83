import re
from dataclasses import replace

import pytest

from ensembles.evaluation.comparison import Change
from ensembles.pseudo_labels.labelling import ClassLabels, LabelCount, Labelling
from ensembles.pseudo_labels.summary import Gain, PseudoLabelSummary, TrialPair
from ensembles.report.page import render_report
from ensembles.report.sweep.pseudo_labels import MOST_CLASSES, lay_out
from tests.ensembles.report.test_page import Reading
from tests.ensembles.samples import make_record, make_run

LABELLING = Labelling(
    confidence=0.95,
    agreement=3,
    found=1010,
    held_out=4,
    trained=5,
    twice=1,
    asked=LabelCount(1000, 800, 600),
    kept=LabelCount(300, 240, 237),
    classes=(
        ClassLabels("<b>star</b>", LabelCount(300, 240, 237), 0.9731),
        ClassLabels("circle", LabelCount(0, 0, 0), None),
    ),
    thresholds=((0.9, LabelCount(500, 400, 380)), (0.95, LabelCount(300, 240, 237))),
)


def make_change(low: float, difference: float, high: float) -> Change:
    return Change(0.9, 0.9 + difference, difference, (low, high), 0.03125)


def make_gain(*interval: float) -> Gain:
    return Gain("soft vote of the team", 5, 6, make_change(0, 0.01, 0.02), make_change(*interval))


SUMMARY = PseudoLabelSummary(
    reason="300 of 1000 images labelled: the vote is sure",
    table="data/0123/pseudo/4567.parquet",
    labelling=LABELLING,
    gains=(make_gain(0.01, 0.02, 0.03),),
    pairs=(
        TrialPair(make_record((0.80, 0.82)), make_record((0.85,), seed=1)),
        TrialPair(make_record((0.90,), seed=2), make_record((0.89, 0.88), seed=3)),
        TrialPair(make_record((0.70,), seed=4), make_record((), seed=5, state="failed")),
    ),
)


def test_sentences_say_what_was_labelled_what_was_left_out_and_how_right_it_is():
    sentences = lay_out(SUMMARY).sentences
    assert sentences[:3] == (
        "300 of 1000 images labelled: the vote is sure.",
        "Of 1,010 images 10 were not asked about: 4 among the validation or the test images, 5 among the training "
        "images, 1 equal to another one.",
        "The true classes of 240 labelled images are known, and took no part in training: 237 labels are right "
        "(98.75%); had the vote labelled all 800, 75.00% would be.",
    )
    assert lay_out(SUMMARY).pairs_sentence.startswith("Better on validation in 1 of 2, by +1.00 points on average.")


@pytest.mark.parametrize(
    ("interval", "sentence"),
    [
        ((0.01, 0.02, 0.03), "makes the team better: +2.00 points on test (95 % interval +1.00 to +3.00)."),
        ((-0.03, -0.02, -0.01), "makes the team worse: -2.00 points on test (95 % interval -3.00 to -1.00)."),
        ((-0.01, 0.01, 0.02), "+1.00 points on test (95 % interval -1.00 to +2.00), which these images cannot tell"),
    ],
)
def test_a_gain_is_described_by_its_interval(interval, sentence):
    assert sentence in lay_out(replace(SUMMARY, gains=(make_gain(*interval),))).sentences[-1]


def test_without_true_classes_no_accuracy_is_shown():
    unknown = replace(LABELLING, asked=LabelCount(1000, 0, 0), kept=LabelCount(300, 0, 0))
    section = lay_out(replace(SUMMARY, labelling=unknown))
    assert "Nobody knows the true classes, so how many labels are right is not known." in section.sentences
    assert not section.truth_is_known


def test_a_stage_that_was_skipped_is_one_sentence():
    section = lay_out(PseudoLabelSummary("no second stage: the team has 2 members"))
    assert section.sentences == ("No second stage: the team has 2 members.",)
    assert (section.gains, section.pairs, section.classes, section.thresholds, section.table) == ((), (), (), (), "")


def test_of_many_classes_those_with_the_most_labels_are_shown():
    many = tuple(ClassLabels(f"class {number}", LabelCount(number, 0, 0), None) for number in range(MOST_CLASSES + 7))
    section = lay_out(replace(SUMMARY, labelling=replace(LABELLING, classes=many)))
    assert (len(section.classes), section.more_classes) == (MOST_CLASSES, 7)
    assert section.classes[0].count.labelled == MOST_CLASSES + 6


def test_the_report_shows_the_section_and_escapes_names():
    page = render_report(replace(make_run(), pseudo=SUMMARY))
    assert '<h2 id="pseudo">Pseudo-labels</h2>' in page
    assert '<a href="#pseudo">' in page
    assert "&lt;b&gt;star&lt;/b&gt;" in page
    assert "<b>star</b>" not in page
    assert "data/0123/pseudo/4567.parquet" in page
    assert "asked for" in page


def test_a_report_without_pseudo_labels_does_not_speak_of_them():
    assert "pseudo" not in render_report(make_run()).lower()


def test_a_skipped_stage_is_rendered():
    assert "No second stage: none agreed." in render_report(
        replace(make_run(), pseudo=PseudoLabelSummary("no second stage: none agreed"))
    )


def test_the_page_stays_whole_and_every_table_scrolls_by_itself():
    page = render_report(replace(make_run(), pseudo=SUMMARY))
    seen = Reading(page)
    ids = [value for _, name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for tag, name, value in seen.attributes if tag == "a" and name == "href"} <= set(ids)
    regions = re.findall(r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+">\n<table', page)
    assert len(regions) == page.count("<table")

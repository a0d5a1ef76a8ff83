from __future__ import annotations

import re
from dataclasses import replace

from ensembles.diagnosis.diagnose import diagnose_all
from ensembles.diagnosis.signs import setting_of
from ensembles.report.page import render_report
from ensembles.report.sweep.diagnosis import MOST_ROWS, describe_evidence, format_overrides, lay_out
from tests.ensembles.diagnosis.test_diagnose import SETTING, TABLE, record
from tests.ensembles.report.test_page import Reading
from tests.ensembles.samples import make_run

OVERFITS = record(seed=2, fit_accuracy=1.0, validation_accuracy=0.8)


def test_verdicts_are_counted_the_most_frequent_first():
    section = lay_out(diagnose_all([line for _, line in TABLE], SETTING))
    assert (section.counts[0].verdict, section.counts[0].trials) == ("rate-too-high", 4)
    assert sum(row.trials for row in section.counts) == len(section.rows) == len(TABLE)
    assert all(row.says for row in section.counts)
    assert lay_out([]) is None


def test_of_many_trials_the_first_are_shown_and_the_others_counted():
    section = lay_out(diagnose_all([OVERFITS] * (MOST_ROWS + 3), SETTING))
    assert (len(section.rows), section.more, section.counts[0].trials) == (MOST_ROWS, 3, MOST_ROWS + 3)


def test_evidence_and_patch_are_formatted_as_text():
    (found,) = diagnose_all([OVERFITS], SETTING)
    assert describe_evidence(found) == "fit accuracy 1, validation accuracy 0.8, gap 0.2, loss ratio 1"
    assert format_overrides(found).startswith("model.dropout=0.2 optimizer.weight_decay=0.0005 ")
    (found,) = diagnose_all([record(state="diverged", reason="the loss is nan in epoch 2", epochs=1)], SETTING)
    assert describe_evidence(found) == "the loss is nan in epoch 2"


def test_the_report_shows_each_trial_with_its_verdict_and_untrusted_text_as_text():
    run = make_run()
    untrusted = record(state="diverged", reason="loss <script>alert(1)</script> & more", epochs=1)
    page = render_report(replace(run, records=[*run.records, untrusted, OVERFITS]))
    assert page.count("<script") == 1  # its own
    section = page[page.index('aria-labelledby="diagnosis"') :]
    text = Reading(section[: section.index("</section>")]).text
    assert "loss <script>alert(1)</script> & more" in text
    rows = diagnose_all([*run.records, untrusted, OVERFITS], setting_of(run.table))
    for found in rows:
        line = re.search(rf"{found.trial_id}\s+(\S+)", text)
        assert line is not None
        assert line[1] == found.verdict

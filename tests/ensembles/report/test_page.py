"""The report: one file that says it all, shows untrusted text as text, and is the same each time."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from ensembles.config import EnsembleConfig
from ensembles.evaluation.never_predicted import NeverPredicted
from ensembles.report.page import ReportInput, lay_out, render_report, report_to_json, write_html
from ensembles.report.team.images import missed_csv
from tests.ensembles.report.sample_evidence import with_evidence
from tests.ensembles.samples import make_run, make_summary
from trainables.data.finding import DataFinding, FoundInData
from trainables.data.floor import MetricFloor
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord

RUN = make_run()
PAGE = render_report(RUN)
FULL = with_evidence(RUN)
FULL_REPORT = lay_out(replace(FULL, search=make_summary(FULL)))
FULL_PAGE = write_html(FULL_REPORT)
HOSTILE = "<script>alert('x')</script>\"&{{ 7*7 }}"


class Reading(HTMLParser):
    """What a browser would see: elements, attributes, and text outside of style and script."""

    VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == [], "elements that were not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text += data


def headings(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]+)</h2>", page)


def test_sections_stand_in_their_order() -> None:
    assert headings(FULL_PAGE) == [
        RUN.verdict.headline,
        "From validation to test",
        "Scores and baselines",
        "The greedy path",
        "The team",
        "Agreement",
        "Reliability",
        "Classes",
        "Images",
        "What accuracy costs",
        "The sweep",
        "The search",
        "All trials",
        "Data",
        "Diagnosis",
        "Provenance",
    ]


def test_what_is_not_known_leaves_no_heading() -> None:
    assert headings(PAGE) == [
        RUN.verdict.headline,
        "From validation to test",
        "Scores and baselines",
        "The greedy path",
        "The team",
        "The sweep",
        "All trials",
        "Data",
        "Diagnosis",
        "Provenance",
    ]


def test_the_verdict_has_at_most_three_sentences() -> None:
    found = re.search(r'<h2 id="verdict">.*?<p>(.*?)</p>', PAGE, re.DOTALL)
    assert found is not None
    assert 1 <= len(re.findall(r"\.(?= |$)", found[1])) <= 3
    assert f"{RUN.verdict.votes['soft'].test_accuracy:.2%}" in found[1]


def test_every_figure_of_the_verdict_is_shown() -> None:
    text = Reading(PAGE).text
    verdict = RUN.verdict
    for score in (verdict.best, *verdict.votes.values(), *verdict.baselines.values()):
        assert f"{score.test_accuracy:.2%}" in text
        assert f"{score.validation_accuracy:.2%}" in text
        assert f"{score.ci95[0]:.2%}" in text
        assert f"{score.test_nll:.4f}" in text
        assert f"{score.test_ece:.4f}" in text
    assert f"{100 * verdict.gain:+.2f}" in text
    assert f"{verdict.fixed} / {verdict.broken}" in text


def test_classes_that_are_never_predicted_are_named_below_the_verdict() -> None:
    missed = (NeverPredicted("<b>fox</b>", 3, 12),)
    run = replace(RUN, verdict=replace(RUN.verdict, never_predicted=missed, best_never_predicted=missed))
    assert "<p><bdi>Never predicted: &lt;b&gt;fox&lt;/b&gt; (12 test images).</bdi></p>" in render_report(run)
    assert "ever predicted" not in PAGE


def test_a_verdict_by_another_metric_than_accuracy_shows_both() -> None:
    run = make_run(trials=9, ensemble=EnsembleConfig(metric="macro_f1"))
    told = run.verdict.in_metric
    assert told is not None
    run = replace(
        run, verdict=replace(run.verdict, in_metric=replace(told, floor=MetricFloor(0.4321, "always saying '<b>'")))
    )
    page = render_report(run)
    text = Reading(page).text
    for expected in (
        "Macro F1 of the best single checkpoint, on test",
        f"{told.best:.4f}",
        f"{told.team:.4f}",
        "Accuracy of the soft vote",
    ):
        assert expected in text
    assert "without a net, always saying &#39;&lt;b&gt;&#39;: 0.4321" in page
    assert '<th scope="col">macro F1<small>test, calibrated</small></th>' in page
    assert "of the best single checkpoint, on test" not in Reading(PAGE).text


def test_each_column_of_validation_figures_says_that_it_was_selected_on() -> None:
    heads = re.findall(r'<th scope="col" class="biased">validation<small>\(selected on\)</small></th>', PAGE)
    assert len(heads) == 3  # scores, team, trials


def test_every_trial_is_listed_with_its_state_and_reason() -> None:
    text = Reading(PAGE).text
    for record in RUN.records:
        assert record.trial_id in text
    assert "pruned at epoch 3" in text
    assert "pruned: pruned" not in text
    assert "diverged: loss is nan in epoch 1: lower optimizer.lr" in text


def test_the_team_is_listed_with_weights_and_solo_accuracy() -> None:
    table = re.search(r'aria-label="Table of the team".*?</table>', PAGE, re.DOTALL)
    assert table is not None
    records = {record.trial_id: record for record in RUN.records}
    for member, weight in zip(RUN.team.members, RUN.team.weights, strict=True):
        alone = records[member.trial_id].epochs[member.epoch - 1]
        assert f">{member.trial_id}</a>" in table[0]
        assert f"<td>{weight:.3f}<" in table[0]
        assert f"{alone.validation_accuracy:.2%}" in table[0]


def test_data_and_provenance_are_shown() -> None:
    text = Reading(PAGE).text
    for word in (*RUN.table.class_names, "3,000 train, 1,000 validation, 2,000 test", RUN.table.data_id, RUN.run):
        assert word in text
    assert RUN.command in text
    assert "torch 2.15.0" in text


def test_notes_stand_on_the_page() -> None:
    assert "the budget ran out" in Reading(render_report(replace(RUN, notes=["the budget ran out"]))).text


def test_untrusted_text_is_shown_as_text() -> None:
    names = (HOSTILE, "</style><img src=x onerror=alert(1)>", *RUN.table.class_names[2:])
    record = RUN.records[-1]
    hostile = replace(
        RUN,
        run=f"{HOSTILE}/1",
        table=replace(RUN.table, name=HOSTILE, class_names=names),
        records=[*RUN.records[:-1], TrialRecord(record.config, "failed", f"OSError: {HOSTILE}")],
        left_out=((CheckpointId("ab" * 6, 3), HOSTILE),),
        command=f"caucus run '{HOSTILE}'",
        versions={HOSTILE: HOSTILE},
        notes=[HOSTILE],
    )
    hostile = replace(with_evidence(hostile), versions={HOSTILE: HOSTILE})
    page = render_report(hostile)
    seen = Reading(page)
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert seen.text.count(HOSTILE) >= 30
    assert names[1] in seen.text


def png(side_px: int) -> bytes:
    sink = io.BytesIO()
    Image.new("L", (side_px, side_px)).save(sink, "PNG")
    return sink.getvalue()


def with_findings(image_id: str, detail: str) -> ReportInput:
    finding = DataFinding("duplicates", (image_id, "svg", "large", "none"), detail, "data.group=2", is_wrong=True)
    pictures = {image_id: png(40), "svg": b"<svg onload=alert(1)>", "large": png(4000)}
    return replace(RUN, table=replace(RUN.table, found=FoundInData((finding,), pictures)))


def test_what_was_found_in_the_images_is_shown_with_small_pictures() -> None:
    given = with_findings("a/1.png", "one picture is there twice")
    seen = Reading(render_report(given))
    assert "Scores are wrong until it is mended: one picture is there twice. data.group=2" in " ".join(
        seen.text.split()
    )
    pictures = [value for tag, name, value in seen.attributes if (tag, name) == ("img", "src")]
    assert pictures == ["data:image/png;base64," + base64.b64encode(png(40)).decode()]
    (found,) = report_to_json(lay_out(given))["data"]["found"]
    assert found == {
        "kind": "duplicates",
        "detail": "one picture is there twice",
        "patch": "data.group=2",
        "level": "wrong",
        "pictures": ["a/1.png"],
    }


def test_names_of_images_that_were_found_are_text() -> None:
    page = render_report(with_findings('"><script>alert(1)</script>', HOSTILE))
    seen = Reading(page)
    assert seen.tags.count("script") == 1
    assert HOSTILE in seen.text
    assert ("img", "alt", '"><script>alert(1)</script>') in seen.attributes


def test_the_page_needs_no_network() -> None:
    seen = Reading(FULL_PAGE)
    assert not {"iframe", "object", "embed", "img", "form"} & set(seen.tags)
    links = [value for _, name, value in seen.attributes if name in ("src", "href", "xlink:href")]
    assert links
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert "@import" not in FULL_PAGE
    assert not re.search(r"url\((?!#)", FULL_PAGE)


def test_only_the_pages_own_script_may_run() -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', FULL_PAGE)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    scripts = re.findall(r"<script>(.*?)</script>", FULL_PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert len(scripts) == 1
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == f"'sha256-{digest}'"


@pytest.mark.parametrize("page", [PAGE, FULL_PAGE], ids=["plain", "full"])
def test_links_lead_somewhere_and_ids_are_unique(page: str) -> None:
    seen = Reading(page)
    ids = [value for _, name, value in seen.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    anchors = {value[1:] for tag, name, value in seen.attributes if tag == "a" and name == "href"}
    labels = {value for _, name, value in seen.attributes if name == "aria-labelledby"}
    assert anchors | labels <= set(ids)


def test_the_same_input_gives_the_same_bytes() -> None:
    assert render_report(make_run()).encode() == PAGE.encode()
    again = with_evidence(make_run())
    report = lay_out(replace(again, search=make_summary(again)))
    assert write_html(report).encode() == FULL_PAGE.encode()
    assert json.dumps(report_to_json(report)) == json.dumps(report_to_json(FULL_REPORT))


def test_the_page_has_a_language_a_title_and_both_colour_schemes() -> None:
    assert '<html lang="en">' in PAGE
    assert f"<title>{RUN.run} · Caucus report</title>" in PAGE
    assert "prefers-color-scheme: dark" in PAGE
    assert PAGE.startswith("<!doctype html>")


def thousand_trials() -> ReportInput:
    records = [
        replace(
            record,
            config=record.config.model_copy(
                update={
                    "seed": 1000 * copy + record.config.seed,
                    "optimizer": record.config.optimizer.model_copy(
                        update={"lr": record.config.optimizer.lr * (1 + copy / 50)}
                    ),
                }
            ),
        )
        for copy in range(42)
        for record in FULL.records
    ]
    return replace(FULL, records=records, search=make_summary(FULL, decisions=1000))


def test_a_thousand_trials_make_a_page_below_one_and_a_half_megabytes() -> None:
    given = thousand_trials()
    assert len(given.records) == 1008
    page = render_report(given)
    assert len(page.encode()) < 1_500_000
    text = Reading(page).text
    assert "8 with a lower rank are not shown" in text
    assert "trials with lower accuracy are not drawn" in text


@pytest.mark.parametrize("how", ["best", "top", "all"])
def test_a_team_that_was_not_chosen_greedily_has_no_path(how: str) -> None:
    given: ReportInput = make_run(trials=9, ensemble=EnsembleConfig.model_validate({"select": how, "size": 3}))
    page = render_report(given)
    assert "The greedy path" not in headings(page)
    scores = page.partition('aria-label="Table of scores"')[2].partition("</table>")[0]
    assert scores.count('<tr class="chosen">') == 1


def test_many_classes_are_folded_away() -> None:
    names = tuple(f"class {number}" for number in range(100))
    assert "Images by class</summary>" in render_report(replace(RUN, table=replace(RUN.table, class_names=names)))
    assert "Images by class</summary>" not in PAGE


def test_the_json_has_the_same_figures_in_the_same_order() -> None:
    payload = report_to_json(FULL_REPORT)
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload
    assert list(payload)[2:6] == ["verdict", "night", "ladder", "baselines"]
    assert list(payload)[6:11] == ["path", "team", "agreement", "reliability", "classes"]
    text = Reading(FULL_PAGE).text
    for row in payload["baselines"]["rows"]:
        assert "drawn" not in row
        assert f"{row['score']['test_accuracy']:.2%}" in text
        assert f"{row['score']['corrected']['value']:.2%}" in text
    assert [row["trial_id"] for row in payload["trials"]["rows"]] == [record.trial_id for record in RUN.records]
    assert [row["score"] for row in payload["path"]["rows"]] == list(RUN.team.path)
    assert "<svg" not in json.dumps(payload)
    assert report_to_json(lay_out(RUN))["agreement"] is None


def test_images_that_all_miss_are_a_table_of_their_own() -> None:
    assert FULL.evidence is not None
    first = replace(FULL.evidence.missed[0], image_id='a,"b"\n.png', label="Żółw")
    lines = missed_csv(replace(FULL.evidence, missed=(first, *FULL.evidence.missed[1:]))).decode().split("\n", 3)
    assert lines[0] == "image,label,vote,confidence,best_single"
    assert "\n".join(lines[1:3]) == '"a,""b""\n.png",Żółw,Trouser,0.990000,T-shirt/top'

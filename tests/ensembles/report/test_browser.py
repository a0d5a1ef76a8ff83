"""The report in a real browser: nothing is asked of the network, nothing complains, all is drawn, keys reach everything."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ensembles.report.page import render_report
from tests.ensembles.report.sample_evidence import with_evidence
from tests.ensembles.report.test_page import HOSTILE
from tests.ensembles.samples import make_run, make_summary
from tests.services.chromium import PROGRAM, Page, browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium: apt-get install chromium")

EMPTY = """[...document.querySelectorAll("main svg, main img")].filter((each) => {
  const details = each.closest("details:not([open])");
  const box = each.getBoundingClientRect();
  return !details && !(box.width > 0 && box.height > 0);
}).length"""

FOCUSED = """(() => {
  const at = document.activeElement;
  return [at.tagName, at.className, at.getAttribute("href") ?? "", at.textContent.trim().slice(0, 30)].join("|");
})()"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = with_evidence(make_run())
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render_report(replace(run, search=make_summary(run))), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_all_is_drawn_and_nothing_complains_or_asks_the_network(
    page: Page, report: Path, scheme: str, width: int
) -> None:
    page.requests.clear()
    page.complaints.clear()
    page.show(report, width=width, scheme=scheme)
    assert page.ask("document.querySelectorAll('main svg').length") > 15
    assert page.ask("document.querySelectorAll('button.sort').length") > 20, "the script did not run"
    assert page.ask(EMPTY) == 0
    assert page.ask("document.documentElement.scrollWidth") <= width, "the page can be scrolled sideways"
    assert page.ask("document.body.getBoundingClientRect().right") <= width
    assert page.complaints == []
    assert page.requests == [report.resolve().as_uri()]


def test_dark_is_dark_and_light_is_light(page: Page, report: Path) -> None:
    """Of the paper and the ink of charts and text: the contrast is at least 4.5 to 1 (WCAG 2.2, AA)."""
    for scheme, paper_is_light in (("light", True), ("dark", False)):
        page.show(report, scheme=scheme)
        paper = luminance(page.ask("getComputedStyle(document.body).backgroundColor"))
        assert (paper > 0.5) is paper_is_light
        for selector, part in (
            ("p", "color"),
            (".hint", "color"),
            (".own text", "fill"),
            ("a", "color"),
            (".biased", "color"),
        ):
            ink = luminance(page.ask(f"getComputedStyle(document.querySelector('main {selector}')).{part}"))
            contrast = (max(paper, ink) + 0.05) / (min(paper, ink) + 0.05)
            assert contrast >= 4.5, (scheme, selector, contrast)


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(1, 2, 3)`, as WCAG defines it."""
    shares = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_keys_reach_the_navigation_the_tables_and_the_buttons_that_sort(page: Page, report: Path) -> None:
    page.show(report)
    reached = []
    for _ in range(120):
        page.press("Tab", 9)
        reached.append(page.ask(FOCUSED))
        if reached[-1].startswith("INPUT"):
            break
    assert reached[0].startswith("A|skip|#verdict")
    links = page.ask("[...document.querySelectorAll('nav a')].map((each) => each.getAttribute('href'))")
    assert [entry.split("|")[2] for entry in reached[1 : 1 + len(links)]] == links
    assert any(entry.startswith("BUTTON|sort") for entry in reached)
    assert any(entry.startswith("SUMMARY") for entry in reached)
    assert any(entry.startswith("FIGURE") for entry in reached)
    assert reached[-1].startswith("INPUT"), "the filter of the trials is not reached"
    assert page.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_a_button_sorts_its_table_both_ways_and_says_so(page: Page, report: Path) -> None:
    page.show(report)
    column = """[...document.querySelector('.filtered').tBodies[0].rows].map((row) => row.cells[5].textContent)"""
    button = "document.querySelector('.filtered').tHead.rows[0].cells[5].firstChild"
    head = "document.querySelector('.filtered').tHead.rows[0].cells[5].ariaSort"
    before = page.ask(column)
    page.ask(f"{button}.focus()")
    page.press("Enter", 13, "\r")
    assert page.ask(head) == "descending"
    assert page.ask(column) == before  # ranked already, and who has none is last
    page.press("Enter", 13, "\r")
    assert page.ask(head) == "ascending"
    assert page.ask(column) == [*before[-2::-1], before[-1]]


def test_a_trial_is_followed_through_the_charts(page: Page, report: Path) -> None:
    page.show(report)
    trial = page.ask("document.querySelector('.filtered tr.votes').dataset.t")
    lit = "[...document.querySelectorAll('.lit')].map((each) => each.dataset.t + ' ' + each.tagName)"
    page.ask("document.querySelector('.filter input').focus()")
    for letter in trial:
        page.press(letter, ord(letter.upper()), letter)
    marked = page.ask(lit)
    assert {one.split()[0] for one in marked} == {trial}
    assert {"path", "circle", "TR", "g"} <= {one.split()[1] for one in marked}
    assert page.ask("document.querySelector('.filter [role=status]').textContent") == "1 of 24 trials"
    assert page.ask("[...document.querySelectorAll('.filtered tbody tr')].filter((row) => !row.hidden).length") == 1
    page.press("Escape", 27)
    page.ask("document.querySelector('.filter input').blur()")
    assert page.ask(lit) == []


def test_without_scripts_the_page_says_the_same(page: Page, report: Path) -> None:
    page.show(report, scripts=False)
    page.call("Emulation.setScriptExecutionDisabled", value=False)
    assert page.ask("document.querySelectorAll('button, input').length") == 0  # nothing that would not work
    assert page.ask(EMPTY) == 0
    assert page.ask("document.querySelectorAll('.filtered tbody tr').length") == 24


def test_screen_readers_find_their_way(page: Page, report: Path) -> None:
    page.show(report)
    assert page.ask("document.querySelectorAll('header, nav[aria-label], main, footer').length") == 4
    assert page.ask("document.querySelectorAll('h1').length") == 1
    levels = page.ask("[...document.querySelectorAll('h1, h2, h3, h4')].map((each) => Number(each.tagName[1]))")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert page.ask("[...document.querySelectorAll('svg.chart')].filter((each) => !each.ariaLabel).length") == 0
    assert (
        page.ask(
            "[...document.querySelectorAll('main section')].filter((each) => !each.getAttribute('aria-labelledby')).length"
        )
        == 0
    )
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    unnamed = [
        node
        for node in tree
        if node.get("role", {}).get("value") in ("link", "button", "region", "searchbox", "figure", "image")
        and not node["ignored"]
        and not node.get("name", {}).get("value")
    ]
    assert unnamed == []


def test_untrusted_text_is_text_and_runs_nothing(page: Page, tmp_path: Path) -> None:
    run = with_evidence(make_run(trials=9))
    bomb = "</style></script><img src=x onerror=\"document.title='broken'\"><svg onload=alert(1)>"
    names = (HOSTILE, bomb, "‮evil", "=1+1", *run.table.class_names[4:])
    run = replace(
        run, run=f"{bomb}/1", table=replace(run.table, name=bomb, class_names=names), command=bomb, notes=[bomb]
    )
    run = with_evidence(run)
    path = tmp_path / "a b'\"<&>.html"
    path.write_text(render_report(run), encoding="utf-8")
    page.requests.clear()
    page.complaints.clear()
    page.show(path)
    assert page.ask("document.title").startswith(bomb.split()[0])
    assert page.ask("document.querySelectorAll('img, script:not(body > script)').length") == 0
    assert page.ask("document.querySelector('h1').textContent") == f"{bomb}/1"
    assert page.complaints == []
    assert page.requests == [path.resolve().as_uri()]
    # What the policy forbids stays forbidden, were anything of it ever to slip through.
    assert (
        page.ask(
            "document.body.insertAdjacentHTML('beforeend', '<b onclick=\"document.title=1\">x</b>') ?? document.querySelector('b:last-child').click() ?? document.title"
        )
        != "1"
    )

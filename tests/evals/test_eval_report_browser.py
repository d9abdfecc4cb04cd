"""The report in a real browser: nothing is loaded, nothing fails, plots show, drawers open, all fits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from report_runs import HOSTILE, made_robustness, made_run, words_of

from llm_judge.diagnostics import Level
from llm_judge.evals.doctor import Finding
from llm_judge.evals.eval_report import report_data, to_html

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
playwright = pytest.importorskip("playwright.sync_api")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
WIDTHS = [1280, 400]
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no Chromium at {CHROMIUM}")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = made_run(count=300)
    baselines = [made_run("keywords", 300, 0.5), made_run("tfidf", 300, 1.5), made_run("constant", 200, 0.0)]
    path = tmp_path_factory.mktemp("report") / "report.html"
    wrong = [Finding("D301", Level.ERROR, ("set_two:1", HOSTILE), f"`{HOSTILE}` is labelled twice", "look")]
    more = {"findings": wrong, "robustness": made_robustness()}
    path.write_text(to_html(report_data(run, baselines, words_of(run), **more, draws=10)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    """The report, opened; the console and the network must have stayed silent at the end."""
    context = browser.new_context(viewport={"width": request.param, "height": 900})
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(report.as_uri())
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_plots_are_seen(page: Page) -> None:
    plots = page.locator("details[open] svg")
    assert plots.count() == 3
    for number in range(3):
        box = plots.nth(number).bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert box["height"] > 200
        words = plots.nth(number).locator("text").first.bounding_box()
        assert words is not None
        assert words["height"] > 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off(page: Page, scheme: str, tmp_path: Path) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    assert overflow(page) == 0
    for drawer in page.locator("details").all():
        drawer.evaluate("each => each.open = true")
    assert overflow(page) == 0
    page.screenshot(path=tmp_path / f"{scheme}.png", full_page=True)
    assert (tmp_path / f"{scheme}.png").stat().st_size > 10_000


def test_words_show_on_the_second_click_only(page: Page) -> None:
    drawer = page.locator("#worst .drawer").first
    words, button = drawer.locator(".words"), drawer.locator("button")
    assert not words.is_visible()
    drawer.locator("summary").click()
    assert words.is_visible()
    assert "·" in words.inner_text()
    masked = words.inner_text()
    button.click()
    assert "·" not in words.inner_text()
    assert len(words.inner_text()) == len(masked)
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert words.inner_text() == masked


def test_hostile_words_stay_words(page: Page) -> None:
    hostile = page.locator("#worst .words").filter(has_text="<").first
    hostile.evaluate("words => { words.closest('details').open = true }")
    hostile.locator("xpath=following-sibling::button").click()
    assert hostile.inner_text() == HOSTILE
    assert page.locator("img").count() == 0
    assert page.title() == "Eval report: core-text"


def test_agreement_robustness_and_findings_are_seen(page: Page) -> None:
    for name, row in (("agreement", "safety/hate"), ("robustness", "perturb:leet"), ("findings", "D301")):
        page.locator(f"nav a[href='#{name}']").click()
        found = page.locator(f"#{name} tbody tr").filter(has_text=row).first
        assert found.is_visible()
        box = found.bounding_box()
        assert box is not None
        assert box["height"] > 15


def test_long_tables_filter_their_rows(page: Page) -> None:
    box = page.locator("#slices .filter input").first
    table = page.locator("#slices .filter + .box").first
    before = table.locator("tbody tr:visible").count()
    box.fill("de safety/hate")
    assert 0 < table.locator("tbody tr:visible").count() < before

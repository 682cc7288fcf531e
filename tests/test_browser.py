"""The report's page in a real browser: Chromium of the machine, driven by Playwright (extra `browser`)."""

import shutil
from contextlib import chdir

import pytest

from stages import report as stage
from tests.reported import HOSTILE, write_workspace

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[browser]'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
LABELS = [f"a_class_with_a_name_that_is_far_too_long_for_one_column_of_a_phone_{n}" for n in range(77)]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    with api.sync_playwright() as driver:
        # Tests may run as root, in a container: there the sandbox cannot start.
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def written(hostile, tmp_path_factory):
    """Two pages: one with hostile texts, and one with 77 classes of long names."""
    root = tmp_path_factory.mktemp("classes")
    with chdir(root):
        write_workspace(root, labels=LABELS, arms=["kd"])
        stage.main()
    return {name: (where / "reports/report.html").as_uri() for name, where in (("hostile", hostile), ("classes", root))}


@pytest.fixture
def opened(browser, written):
    """A function that opens a page; whatever it said or asked for fails the test at its end."""
    heard, contexts = [], []

    def open_(name, viewport=DESKTOP, **settings):
        context = browser.new_context(viewport=viewport, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: heard.append(f"error: {error}"))
        page.on("request", lambda request: heard.append(request.url))
        page.goto(written[name])
        return page

    yield open_
    for context in contexts:
        context.close()
    outside = [line for line in heard if not line.startswith(("data:,", *written.values()))]
    assert outside == []


def first_cells(page, table="taught"):
    return page.locator(f"[data-table={table}] tbody tr td:first-child").all_inner_texts()


def test_a_script_in_a_sample_is_text(opened):
    page = opened("hostile")
    assert page.evaluate("window.ran") is None
    cells = first_cells(page)
    assert HOSTILE[0] in cells and HOSTILE[1] in cells
    assert page.locator("img, iframe").count() == 0
    assert r"\u202eturned" in "".join(cells)


def test_the_browser_itself_refuses_what_is_not_the_pages_script(browser, written):
    """As if the escaping had failed: elements and scripts that come into the page do nothing, and ask nobody."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(written["hostile"])
    refused = page.evaluate(
        """async () => {
            const refused = [];
            document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
            const script = document.createElement("script");
            script.textContent = "window.ran = 1";
            document.body.append(script);
            const image = "<img src='https://example.org/x.png' onerror='window.ran = 2'>";
            document.body.insertAdjacentHTML("beforeend", image);
            await new Promise((done) => setTimeout(done, 300));
            return [refused.sort(), window.ran ?? null];
        }"""
    )
    assert refused[0][0] == "img-src" and refused[0][-1].startswith("script-src")
    assert refused[1] is None
    context.close()


def test_search_narrows_and_says_how_many(opened):
    page = opened("hostile")
    box, status = page.get_by_label("Search", exact=True).first, page.locator("[data-table=taught] [role=status]")
    assert status.inner_text() == "1,000 of 1,000 rows, 25 shown"
    box.fill("{{ 7 BOLD")
    assert status.inner_text() == "2 of 1,000 rows, 2 shown"  # one of train, one of transfer
    box.fill("there is no such text")
    assert status.inner_text() == "0 of 1,000 rows, 0 shown"
    box.fill("")
    page.get_by_label("Shown for", exact=True).select_option("wrong label")
    assert "shown" in status.inner_text() and not status.inner_text().startswith("1,000 of")
    page.get_by_label("Shown for", exact=True).select_option("")
    page.locator("[data-table=taught] .more").click()
    assert len(first_cells(page)) == 50


def test_sorting_by_keyboard_and_by_list(opened):
    page = opened("hostile")
    header = page.locator("[data-table=taught] th", has_text="influence")
    column = "[data-table=taught] td[data-title=influence]"

    def values():
        return [float(text.replace("−", "-")) for text in page.locator(column).all_inner_texts()]

    header.locator("button").focus()
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"
    assert values() == sorted(values(), reverse=True) and values()[0] == 9.0
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values()) and values()[0] < 0
    page.locator("[data-table=taught]").get_by_label("Order", exact=True).select_option(label="text ↑")
    cells = [text.lower() for text in first_cells(page)]
    assert cells == sorted(cells)
    # What is not known comes last, whichever way.
    page.locator("[data-table=taught]").get_by_label("Order", exact=True).select_option(label="truth ↓")
    assert "–" not in page.locator("[data-table=taught] td[data-title=truth]").all_inner_texts()


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("name", ["hostile", "classes"])
def test_the_page_never_scrolls_sideways(opened, name, viewport):
    page = opened(name, viewport)
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    wide = page.locator(".drawing").first.is_visible()
    assert wide == (viewport is DESKTOP)
    visible = page.locator(".drawing:visible").count()
    assert visible == page.locator("figure").count() > 5


def test_letters_of_a_phones_drawing_can_be_read(opened):
    page = opened("hostile", PHONE)
    letters = "[...document.querySelectorAll('.narrow .drawing text')]"
    sizes = page.evaluate(f"{letters}.map((text) => text.getBoundingClientRect().height)")
    assert min(size for size in sizes if size) > 8


def test_nothing_of_a_drawing_is_black_on_black(opened):
    page = opened("hostile", color_scheme="dark")
    parts = "[...document.querySelectorAll('.wide .drawing *')].map((part) => getComputedStyle(part))"
    assert "rgb(0, 0, 0)" not in page.evaluate(f"{parts}.flatMap((style) => [style.fill, style.stroke])")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_stands_out_from_the_paper(opened, scheme):
    page = opened("hostile", color_scheme=scheme)
    ratio = page.evaluate(
        """() => {
            const light = (colour) => {
                const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
                    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
            const paper = light(getComputedStyle(document.body).backgroundColor);
            const of = (query, name) => contrast(light(getComputedStyle(document.querySelector(query))[name]), paper);
            return [paper, of("p", "color"), of("figcaption", "color"), of("a[href='#cost']", "color"),
                    of(".wide .drawing text", "fill")];
        }"""
    )
    assert (ratio[0] > 0.5) == (scheme == "light")
    assert min(ratio[1:]) >= 4.5


def test_it_is_used_by_keyboard_alone(opened):
    page = opened("hostile")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.url.endswith("#short")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.tagName"))
    assert {"SUMMARY", "DIV"} <= reached  # what opens, and tables that scroll


def test_it_can_be_printed(opened):
    """With dark ink on white paper, whatever the screen."""
    page = opened("hostile", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert page.locator("figure .drawing").first.is_visible()
    assert page.pdf().startswith(b"%PDF")


def test_without_script_the_words_and_figures_stand(browser, written):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written["hostile"])
    assert page.get_by_text("needs the page's own script").first.is_visible()
    assert page.locator("figure .drawing").first.is_visible()
    context.close()


def test_it_is_small_and_quick(opened, written):
    """With more rows than the thousand that are shown."""
    page = opened("hostile")
    assert page.evaluate("document.documentElement.outerHTML.length") < 2_000_000
    assert page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive") < 5000

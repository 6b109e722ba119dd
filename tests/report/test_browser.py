"""The site as a person meets it, in Chromium: sorted, filtered and followed; silent, and asking nobody for anything."""

import shutil

import handmade
import pytest

import rbench.report.site

playwright = pytest.importorskip("playwright.sync_api", reason="a browser is driven by playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """The address of the site's first page."""
    folder = tmp_path_factory.mktemp("browsed")
    catalog = handmade.shelf(folder / "shelf")
    handmade.fill(catalog, folder / "runs")
    made = rbench.report.site.files(catalog, folder / "runs", handmade.gallery)
    return rbench.report.site.written(made, folder / "out").as_uri()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, home):
    """The first page; afterwards, nothing was complained of and no address was asked for but files of the site."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    complaints, asked = [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda request: complaints.append(request.url))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(home)
    yield page
    page.close()
    assert not complaints
    assert asked
    assert not [url for url in asked if not url.startswith((home.removesuffix("index.html"), "data:"))]


def board(page):
    return page.locator("table[data-key='made-seed0']")


def order(page):
    return board(page).locator("tbody tr th a").all_inner_texts()


def test_a_click_sorts_another_turns_it_round_and_the_address_keeps_it(page):
    heading = board(page).locator("thead th", has_text="Clean")
    heading.get_by_role("button").click()
    assert (heading.get_attribute("aria-sort"), order(page)) == ("descending", ["beta", "alpha", "gamma"])
    heading.get_by_role("button").press("Enter")
    assert (heading.get_attribute("aria-sort"), order(page)) == ("ascending", ["alpha", "beta", "gamma"])
    page.reload()
    assert order(page) == ["alpha", "beta", "gamma"]  # gamma's row is empty, and last either way
    board(page).locator("thead th").first.get_by_role("button").click()
    assert order(page) == ["alpha", "beta", "gamma"]
    board(page).locator("thead th").first.get_by_role("button").click()
    assert order(page) == ["gamma", "beta", "alpha"]


def test_the_filter_hides_other_models_and_counts(page):
    page.get_by_role("searchbox").or_(page.get_by_role("textbox")).first.fill("CO beta")
    assert [row.is_visible() for row in board(page).locator("tbody tr").all()] == [
        name == "beta" for name in order(page)
    ]
    assert page.locator("output").inner_text().startswith("1 of ")
    page.reload()
    assert page.locator("output").inner_text().startswith("1 of ")


def test_a_model_and_a_suite_are_a_click_away_and_so_is_the_way_back(page):
    board(page).get_by_role("link", name="alpha", exact=True).click()
    assert page.url.endswith("models/alpha.html")
    assert page.locator("h1").inner_text() == "alpha"
    assert page.get_by_text(handmade.TITLES["alpha"]).first.is_visible()
    page.wait_for_load_state()  # or what it still asks for would fail, by being left
    page.get_by_role("link", name="made", exact=True).first.click()
    assert "suites/made.html" in page.url
    page.wait_for_load_state()
    page.go_back()
    page.go_back()
    assert page.url.partition("#")[0].endswith("index.html")


def test_pictures_are_there_small_ones_with_sharp_pixels(page, home):
    page.goto(home.removesuffix("index.html") + "models/beta.html")
    pictures = page.locator("figure img")
    facts = "all => all.map(one => [one.naturalWidth, one.width, getComputedStyle(one).imageRendering])"
    found = pictures.evaluate_all(facts)
    assert found[:3] == 3 * [[8, 96, "pixelated"]]  # each pixel is a square of 12
    assert [(own, how) for own, _, how in found[3:]] == 3 * [(224, "auto")]
    assert all(150 < shown <= 224 for _, shown, _ in found[3:])
    assert all(pictures.nth(k).is_visible() for k in range(6))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_window(page, home, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for place in ("index.html", "models/alpha.html", "models/beta.html", "suites/made.html"):
        page.goto(home.removesuffix("index.html") + place)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, place
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shade = sum(int(part) for part in paper.removeprefix("rgb(").removesuffix(")").split(","))
        assert (shade < 3 * 128) == (scheme == "dark"), (place, paper)


def test_a_phone_shows_whole_numbers_captions_and_probes(page, home):
    page.set_viewport_size({"width": min(WIDTHS), "height": 800})
    right = "all => Math.max(...all.map(one => one.getBoundingClientRect().right))"
    for place, parts in (("models/alpha.html", ".scores td, caption span"), ("suites/made.html", ".stack td")):
        page.goto(home.removesuffix("index.html") + place)
        assert page.locator(parts).count()
        assert page.locator(parts).evaluate_all(right) <= min(WIDTHS), place

"""The site of a folder of runs: its numbers, what it says of doubt and gaps, and how it is built."""

import math
import re
import shutil
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import handmade
import pytest
from dom import parse

import rbench.report.site
from rbench.errors import MissingError, StoreError, UsageError
from rbench.planner import Variant
from rbench.report.site import TEMPLATES, files
from rbench.report.site.found import variant_of
from rbench.sheet import collect, table_spec


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return handmade.shelf(tmp_path_factory.mktemp("shelf"))


@pytest.fixture(scope="module")
def root(catalog, tmp_path_factory):
    root = tmp_path_factory.mktemp("site") / "runs"
    handmade.fill(catalog, root)
    return root


@pytest.fixture(scope="module")
def site(catalog, root):
    return files(catalog, root, handmade.gallery)


@pytest.fixture(scope="module")
def pages(site):
    return {name: parse(content) for name, content in site.items() if name.endswith(".html")}


@pytest.fixture(scope="module")
def board(pages):
    return _board(pages["index.html"])


def _board(page, key="made-seed0"):
    return page.one("table", **{"data-key": key})


def cells(table):
    """Model -> the cells of its row, in order of the rows."""
    rows = table.one("tbody").every("tr")
    return {row.one("th").one("a").text: row.every("td") for row in rows}


def test_numbers_are_those_counted_by_hand(board):
    z2 = 1.959963984540054**2
    middle, half = (9 + z2 / 2) / (10 + z2), math.sqrt(z2) / (10 + z2) * math.sqrt(9 * 1 / 10 + z2 / 4)
    clean, worst, fog = cells(board)["alpha"]
    assert clean.text == f"90.0 [{100 * (middle - half):.1f}, {100 * (middle + half):.1f}]"
    assert worst.text.startswith("40.0 [")
    assert fog.text.startswith("45.0 [")  # 1 - (8 + 3) / 20
    assert float(clean.attributes["data-value"]) == 90
    assert "n = 10" in board.every("th")[1].text


def test_models_are_ranked_by_the_score_of_most_probes_and_empty_rows_come_last(board):
    assert list(cells(board)) == ["beta", "alpha", "gamma"]
    (ranked,) = [head for head in board.every("th") if "aria-sort" in head.attributes]
    assert ranked.text.startswith("Worst case")
    assert ranked.attributes["aria-sort"] == "descending"
    first = {head.text.split()[0]: head.attributes.get("data-first") for head in board.one("thead").every("th")}
    assert first == {"Model": "ascending", "Clean": "descending", "Worst": "descending", "Fog": "ascending"}


def test_a_score_that_no_model_has_ranks_nothing_and_gaps_go_by_the_next_score(tmp_path):
    catalog = handmade.shelf(tmp_path / "shelf")
    for model, clean in (("alpha", 3), ("beta", 9), ("gamma", 5)):
        handmade.run(catalog, tmp_path / "runs", model, {"clean": clean})
    ranked = _board(parse(files(catalog, tmp_path / "runs")["index.html"]))
    assert list(cells(ranked)) == ["beta", "gamma", "alpha"]
    assert [head.text.split()[0] for head in ranked.every("th") if "aria-sort" in head.attributes] == ["Clean"]
    handmade.run(catalog, tmp_path / "runs", "alpha", {"clean": 3, "pgd20": 1})
    ranked = _board(parse(files(catalog, tmp_path / "runs")["index.html"]))
    assert list(cells(ranked)) == ["alpha", "beta", "gamma"]  # what lacks the score stands below, by its clean accuracy


def test_captions_say_which_versions_the_runs_were_made_with(tmp_path):
    catalog = handmade.shelf(tmp_path / "shelf")
    sheet = lambda: collect(catalog, table_spec(catalog, "made"), tmp_path / "runs", Variant())  # noqa: E731
    assert not any("Made with" in line for line in sheet().protocol)  # nothing has run
    handmade.run(catalog, tmp_path / "runs", "alpha", {"clean": 6})
    assert sheet().protocol[-1] == "Made with rbench 0.1.0, torch 2.9"
    folder = handmade.run(catalog, tmp_path / "runs", "beta", {"clean": 6})
    (folder / "settings.json").write_text('{"torch": "2.15.0"}')
    assert sheet().protocol[-1] == "Made with rbench 0.1.0, torch 2.15.0 and 2.9"


def test_leaderboards_without_a_current_number_stand_last_and_folded(tmp_path):
    catalog, few = handmade.shelf(tmp_path / "shelf"), Variant(limit=10, probes=("clean",))
    handmade.run(catalog, tmp_path / "runs", "alpha", {"clean": 6}, few, stale=True)
    handmade.run(catalog, tmp_path / "runs", "beta", {"clean": 6}, Variant(seed=1))
    handmade.run(catalog, tmp_path / "runs", "gamma", {"clean": 6}, stale=True)
    page = parse(files(catalog, tmp_path / "runs")["index.html"])
    keys = [table.attributes["data-key"] for table in page.every("table")]
    assert keys[0] == "made-seed1"
    old = next(part for part in page.every("details") if part.attributes.get("class") == "old")
    assert sorted(table.attributes["data-key"] for table in old.every("table")) == sorted(keys[1:])
    assert len(keys) == 3
    assert old.every("summary")[0].text.startswith("2 leaderboards without a current number: ")


def test_doubt_is_marked_explained_and_said_in_words(board, pages):
    worst = cells(board)["beta"][1]
    assert worst.text.startswith("70.0 ‡ (unreliable)")
    assert "‡" not in cells(board)["beta"][0].text
    finding = next(item for item in pages["models/beta.html"].every("li") if "RB114" in item.text)
    assert "grad.fd" in finding.text
    assert handmade.DOUBT.message in finding.text
    assert "directional derivatives of the margin" in finding.text


def test_an_empty_cell_names_the_command_that_fills_it(board, pages):
    fog = cells(board)["beta"][2]
    target = fog.one("a").attributes["href"].removeprefix("#")
    command = "rbench eval --suite made --model beta"
    assert pages["index.html"].one("li", id=target).text == command
    assert fog.one("a").attributes["title"] == command
    assert "data-value" not in fog.attributes


def test_an_old_run_counts_for_nothing_and_says_so(board, pages):
    assert not any("data-value" in cell.attributes for cell in cells(board)["gamma"])
    assert "rbench eval --suite made --model gamma --fresh" in pages["index.html"].text
    assert "gamma: older than the suite, the code or the weights" in pages["index.html"].text
    assert "Older than the suite" in pages["models/gamma.html"].text


def test_published_numbers_stand_beside_the_measured(board, pages):
    assert cells(board)["beta"][0].text.endswith("paper 94.25")
    assert "A paper, table 1" in pages["index.html"].text
    assert "paper" not in cells(board)["alpha"][0].text


def test_parts_of_a_suite_are_boards_of_their_own_and_other_weights_are_none(pages):
    index = pages["index.html"]
    heads = [head.text for head in index.every("h3")]
    assert heads == ["All samples", "First 10 samples; only clean", "At eps = 8/255", "At eps = 1"]
    part = _board(index, "made-seed0-first10-only-clean")
    assert cells(part)["alpha"][0].text.startswith("60.0 [")
    assert "ONLY THE FIRST 10 OF 500 SAMPLES" in index.text
    assert "made: 1 run: of weights in a file (--weights)" in index.text


def test_a_suites_page_has_the_exact_protocol(pages, catalog):
    page = pages["suites/made.html"]
    probes = {row.one("th").text: row.text for row in page.every("table")[0].one("tbody").every("tr")}
    assert list(probes) == ["clean", "pgd20", "fog"]
    assert "rbench.attacks.pgd:pgd steps = 20, rel_step = '1/4' 24/255 1" in probes["pgd20"]
    assert "24/255" not in probes["clean"] + probes["fog"]
    assert catalog.suite("made").digest in page.text
    assert "L-inf, eps = 24/255" in page.text
    assert "samples that stay correct in every one of the probes" in page.text


def test_a_models_page_has_card_provenance_severities_and_confusion(pages):
    page = pages["models/alpha.html"]
    facts = {name.text: value.text for name, value in zip(page.every("dt"), page.every("dd"), strict=True)}
    assert facts["weights (sha256)"] == "0" * 64
    assert (facts["paper"], facts["torch"], facts["samples"]) == ("A paper", "2.9", "10 of 500")
    fog, confusion = page.every("table", class_="grid")[:2]
    (row,) = fog.one("tbody").every("tr")
    assert [cell.text for cell in row.every("td")] == ["80.0", "30.0"]
    assert [cell.attributes["class"] for cell in row.every("td")] == ["shade5", "shade2"]
    counts = [[cell.text for cell in row.every("td")] for row in confusion.one("tbody").every("tr")]
    assert counts == [["0", "0", "0"], ["0", "9", "1"], ["0", "0", "0"]]


def test_a_curve_is_shown_while_all_its_runs_are_current(catalog, root, site, pages, tmp_path):
    page = pages["models/alpha.html"]
    picture = page.one("img").attributes
    assert picture["alt"]
    assert site[f"models/{picture['src']}".replace("models/../", "")] == b"a picture"
    assert "8/255 worst 50.0 [20.0, 80.0] 10 1" in page.text
    copy = shutil.copytree(root, tmp_path / "runs")
    shutil.rmtree(copy / "made" / "alpha" / handmade.CURVED[1].folder)
    assert not parse(files(catalog, copy)["models/alpha.html"]).every("img")


def test_a_gallery_has_words_for_each_picture_and_says_what_is_amiss(pages, catalog, root):
    page = pages["models/beta.html"]
    small, large = page.every("figure")
    alts = [picture.attributes["alt"] for picture in small.every("img")]
    assert alts[:2] == [
        "Sample 0, class 1, clean: predicted 1",
        "Sample 0, class 1, under pgd<20>: predicted 3, L-inf distance 0.05",
    ]
    assert alts[2] == "The difference, 10 times around grey; no pixel changes by more than 0.05"
    sizes = [(one["width"], one["height"], one.get("class")) for one in (part.every("img")[0].attributes for part in (small, large))]  # fmt: skip # noqa: E501
    assert sizes == [("96", "96", "pixels"), ("224", "224", None)]
    assert "pgd<20> fools 2 of the 9 samples that the model gets right" in page.text
    assert "1 of 2 images made anew" in page.text
    assert "The run has: predicted 5, margin -1.5, distance 0.05." in large.text
    assert "The run has" not in small.text
    assert "No images of pgd<20>: <b>no</b> images" in page.text
    for name in ("alpha", "gamma"):  # one has nothing to show, the other an old run
        assert "Gallery" not in pages[f"models/{name}.html"].text
    assert not parse(files(catalog, root)["models/beta.html"]).every("img")


def test_text_is_escaped_and_nothing_runs_but_the_sites_own_script(site, pages):
    for name, page in pages.items():
        (script,) = page.every("script")
        assert script.attributes["src"].endswith("site.js"), name
        assert not script.children
        inline = [key for node in page.every() for key in node.attributes if key.startswith("on") or key == "style"]
        assert not inline, name
        assert not page.every("style", "iframe", "object", "base"), name
        assert all(node.attributes["src"].startswith("../pictures/") for node in page.every("img")), name
        policy = page.one("meta", **{"http-equiv": "Content-Security-Policy"}).attributes["content"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
    assert handmade.TITLES["alpha"] in pages["models/alpha.html"].text


def test_no_page_asks_the_network_and_every_link_leads_somewhere(site, pages):
    ids = {name: {node.attributes["id"] for node in page.every() if "id" in node.attributes} for name, page in pages.items()}  # fmt: skip # noqa: E501
    for name, page in pages.items():
        links = [node.attributes[key] for node in page.every() for key in ("href", "src") if key in node.attributes]
        for link in links:
            parts = urlsplit(link)
            if link == "data:,":  # no picture for the tab, so that no browser asks for one
                continue
            assert not parts.scheme, link
            assert not parts.netloc, link
            target = _resolved(name, unquote(parts.path)) if parts.path else name
            assert target in site, link
            assert not parts.fragment or parts.fragment in ids[target], link
    assert not re.search(r"url\(|@import|https?:|fetch|XMLHttp", (site["site.css"] + site["site.js"]).decode())


def _resolved(page, link):
    parts = list(PurePosixPath(page).parent.parts)
    for part in PurePosixPath(link).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_pages_are_built_for_everyone(pages):
    for name, page in pages.items():
        assert page.one("html").attributes["lang"] == "en"
        assert page.one("title").text
        assert len(page.every("main")) == len(page.every("h1")) == 1, name
        ids = [node.attributes["id"] for node in page.every() if "id" in node.attributes]
        assert len(ids) == len(set(ids)), name
        levels = [int(head.tag[1]) for head in page.every("h1", "h2", "h3", "h4")]
        assert all(after <= before + 1 for before, after in pairwise(levels)), name
        assert all(head.attributes.get("scope") for head in page.every("th")), name
        for field in page.every("input"):
            assert page.one("label", for_=field.attributes["id"]).text
        for node in page.every():
            named = [node.attributes.get(key, "").split() for key in ("aria-labelledby", "aria-describedby", "for")]
            assert set().union(*named) <= set(ids), name
        for table in page.every("table"):  # wide ones scroll, by keyboard too
            around = table.parent.attributes
            assert (around["class"], around["tabindex"], around["role"]) == ("scroll", "0", "region"), name


def _luminance(colour):
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_all_text_has_the_contrast_of_wcag_aa_in_both_schemes():
    light, dark = re.findall(r":root \{([^}]*--shade5[^}]*)\}", (TEMPLATES / "site.css").read_text())
    for scheme in (light, dark):
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", scheme))
        pairs = [(text, under) for text in ("ink", "muted", "link", "warn", "bad") for under in ("page", "band")]
        pairs += [("ink", f"shade{k}") for k in range(6)]
        for text, under in pairs:
            low, high = sorted(_luminance(colours[name]) for name in (text, under))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (text, under)


def test_colours_are_named_once():
    _, _, rest = (TEMPLATES / "site.css").read_text().partition("* { box-sizing")
    assert not re.findall(r"#[0-9a-f]{3,6}", rest.partition("@media print")[0])


def test_the_same_runs_give_the_same_bytes(catalog, root, site, tmp_path):
    assert files(catalog, shutil.copytree(root, tmp_path / "elsewhere"), handmade.gallery) == site


def test_it_is_written_again_over_itself_and_never_over_anything_else(site, tmp_path):
    first = rbench.report.site.written(site, tmp_path / "out")
    assert rbench.report.site.written(site, tmp_path / "out") == first == tmp_path / "out" / "index.html"
    assert (tmp_path / "out" / "models" / "alpha.html").read_bytes() == site["models/alpha.html"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("<p>mine</p>")
    with pytest.raises(UsageError, match="holds something else"):
        rbench.report.site.written(site, tmp_path / "mine")
    with pytest.raises(UsageError, match="holds something else"):
        rbench.report.site.written(site, tmp_path / "mine" / "index.html")


def test_folders_that_are_no_runs_are_refused_in_one_sentence(catalog, root, tmp_path):
    with pytest.raises(MissingError, match=r"no folder .* name the one"):
        files(catalog, tmp_path / "none")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c" / "manifest.json").write_text("{}")
    with pytest.raises(MissingError, match="holds no runs; `rbench eval"):
        files(catalog, tmp_path)
    broken = shutil.copytree(root, tmp_path / "runs")
    (broken / "made" / "alpha" / "seed0" / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match=r"cannot be read .* run again"):
        files(catalog, broken)
    (broken / "made" / "alpha" / "curve-seed0-12345678" / "curve.csv").write_text("eps\n1\n")
    shutil.copytree(root / "made" / "alpha" / "seed0", broken / "made" / "alpha" / "seed0", dirs_exist_ok=True)
    with pytest.raises(StoreError, match=r"curve.csv is damaged .* draw the curve again"):
        files(catalog, broken)


@pytest.mark.parametrize(
    "variant",
    [
        Variant(),
        Variant(seed=3, limit=20, eps="8/255", probes=("worst-case", "aa"), backend="torchattacks:PGD"),
        Variant(eps="0.03", backend="pyautoattack"),
    ],
)
def test_the_name_of_a_folder_tells_its_variant(variant):
    assert variant_of(variant.folder).folder == variant.folder


@pytest.mark.parametrize(
    "name", [Variant(weights_file="a.pt").folder, Variant(missing=("fog",)).folder, "seed0.old-1", "seedling", "first3"]
)
def test_a_name_that_does_not_tell_its_variant_has_none(name):
    assert variant_of(name) is None

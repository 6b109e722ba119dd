"""A static site of everything under a folder of runs: leaderboards, and a page for each model and suite."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rbench.catalog import Catalog
from rbench.errors import StoreError, UsageError
from rbench.files import write_atomically
from rbench.report.site.boards import Board, boards, not_run
from rbench.report.site.cards import arguments, card_facts, derived, parts, question, suite_facts
from rbench.report.site.evidence import curves
from rbench.report.site.exhibits import Curates
from rbench.report.site.found import Found, find
from rbench.types import ModelCard, Suite

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
MADE_BY = b'<meta name="generator" content="rbench '
ASSETS = ("site.css", "site.js")


def files(catalog: Catalog, root: Path, curate: Curates | None = None) -> Mapping[str, bytes]:
    """The files of the site by their paths in it; the same runs give the same bytes.

    Pages of models have galleries if `curate` makes them. Raises an `RbenchError` with the remedy if `root` is no
    folder, holds no run, or holds one that cannot be read.
    """
    found = find(catalog, root)
    ranked = boards(catalog, found)
    drawn = {name: tuple(curves(catalog, found, name)) for name in found.models}
    held = {name: parts(ranked, found, name, curate) for name in found.models}
    pages = {
        "index.html": _index(found, ranked),
        **{f"suites/{name}.html": _suite(found.suites[name], some) for name, some in ranked.items()},
        **{
            f"models/{name}.html": {**_model(catalog, found.cards[name]), "parts": held[name], "curves": drawn[name]}
            for name in found.models
        },
    }
    pictures = {f"pictures/{curve.file}": curve.picture for some in drawn.values() for curve in some}
    galleries = (part.gallery for some in held.values() for part in some if part.gallery is not None)
    pictures |= {f"pictures/{tile.file}": tile.content for gallery in galleries for tile in gallery.tiles}
    environment = _environment()
    made = {}
    for path, page in pages.items():
        up = "../" * path.count("/")
        text = environment.get_template(page.pop("template")).render(root=up, suites=tuple(ranked), **page)
        made[path] = text.encode()
    return {**made, **{name: (TEMPLATES / name).read_bytes() for name in ASSETS}, **pictures}


def written(made: Mapping[str, bytes], folder: Path) -> Path:
    """Write the files of a site into a folder and return its first page; those of an older site are replaced.

    Raises `UsageError` if the folder holds something else, and `StoreError` if it cannot be written.
    """
    first = spared(folder)
    try:
        for path, content in sorted(made.items(), reverse=True):  # index.html last: it says that all is there
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, content)
    except OSError as error:
        raise StoreError(f"cannot write {folder}: {error.strerror or error}; name another folder.") from error
    return first


def spared(folder: Path) -> Path:
    """The first page of a site in a folder; raises `UsageError` if the folder holds something else."""
    first = folder / "index.html"
    ours = first.is_file() and MADE_BY in first.read_bytes()
    if not ours and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds something else than a site of rbench; name an empty or a new folder.")
    return first


def _index(found: Found, ranked: Mapping[str, list[Board]]) -> dict[str, Any]:
    return {
        "template": "index.html",
        "here": "",
        "models": found.models,
        "boards": ranked,
        "titles": {name: found.suites[name].title for name in ranked},
        "rest": {name: not_run(found.suites[name], found) for name in ranked},
        "hidden": found.hidden,
    }


def _suite(suite: Suite, some: list[Board]) -> dict[str, Any]:
    return {"template": "suite.html", "here": suite.name, "suite": suite, **suite_facts(suite), "boards": some}


def _model(catalog: Catalog, card: ModelCard) -> dict[str, Any]:
    return {"template": "model.html", "here": "", "card": card, "facts": card_facts(catalog, card)}


def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from rbench import __version__

    made = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.globals["version"] = __version__
    made.filters |= {
        "arguments": arguments,
        "question": question,
        "derived": derived,
        "capfirst": lambda text: text[:1].upper() + text[1:],
    }
    return made

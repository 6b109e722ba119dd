"""The contact sheet of `rbench corrupt --preview`."""

import numpy as np
import pytest
from makings import expected
from PIL import Image

from rbench.cli import run
from rbench.data.digits import digits
from rbench.errors import MissingError
from rbench.making.preview import preview


def test_a_preview_shows_the_clean_image_and_what_corrupt_makes_of_it(tmp_path, capsys):
    words = ["--corruption", "gaussian_noise", "--corruption", "pixelate", "--severity", "2", "--seed", "4"]
    path = tmp_path / "new" / "sheet.png"
    assert run(["corrupt", "--preview", str(path), "--data", "digits", *words]) == 0
    assert capsys.readouterr().out.split() == [str(path)]
    with Image.open(path) as image:
        page = np.asarray(image.convert("RGB"))
    clean = digits("test").images(np.array([0]))[0].transpose(1, 2, 0)
    tiles = [clean, *(expected(name, 2, [0], seed=4)[0] for name in ("gaussian_noise", "pixelate"))]
    assert [occurrences(page, np.kron(tile, np.ones((4, 4, 1), np.uint8))) for tile in tiles] == [2, 1, 1]


def occurrences(page, tile):
    """How often a tile stands on a page."""
    height, width, _ = tile.shape
    tops, lefts = np.nonzero((page[: -height + 1, : -width + 1] == tile[0, 0]).all(-1))
    return sum(np.array_equal(page[y : y + height, x : x + width], tile) for y, x in zip(tops, lefts, strict=True))


def test_a_preview_of_a_file_is_resized_and_cropped(tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        "rbench.report.contact_sheet.contact_sheet",
        lambda clean, versions, columns, groups, title, note: shown.update(locals()) or b"page",
    )
    gradient = np.zeros((40, 80, 3), np.uint8)
    gradient[:, 20:60, 1] = 200  # the middle of the width is green
    Image.fromarray(gradient).save(tmp_path / "wide.png")
    preview(tmp_path / "a.png", image=tmp_path / "wide.png", size=32, corruptions=("brightness",), severities=(3, 1))
    assert shown["clean"].shape == (32, 32, 3)
    assert (shown["clean"][:, 1:-1] == (0, 200, 0)).all()
    assert shown["columns"] == ["severity 1", "severity 3"]
    assert shown["note"] == "wide.png, 32 x 32 pixels; generator hendrycks; seed 0"
    preview(tmp_path / "a.png", corruptions=("brightness",), generator="imagecorruptions", seed=7)
    assert shown["clean"].shape == (224, 224, 3)
    assert shown["note"].startswith("china.jpg, 224 x 224 pixels; generator imagecorruptions")
    assert "seed 7" in shown["note"]
    (tmp_path / "text.jpg").write_text("text")
    with pytest.raises(MissingError, match="no image that can be read"):
        preview(tmp_path / "a.png", image=tmp_path / "text.jpg")

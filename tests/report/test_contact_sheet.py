import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from rbench.report.contact_sheet import contact_sheet

GROUPS = {"Noise": ("a_noise", "b_noise"), "Blur": ("c_blur",), "Empty": ("d",)}
COLUMNS = ("severity 1", "severity 2")


def solid(red, green, size=(32, 32)):
    """A tile of one colour that nothing else on a sheet has: its row and column are in its bytes."""
    return np.full((*size, 3), (red, green, 255), dtype=np.uint8)


def sheet(names, size=(32, 32), **changes):
    versions = {
        name: [solid(10 * (row + 1), column + 1, size) for column in range(2)] for row, name in enumerate(names)
    }
    given = {"columns": COLUMNS, "groups": GROUPS, "title": "title", "note": "note"} | changes
    return contact_sheet(solid(0, 0, size), versions, **given)


def pixels(content):
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def boxes(page, colour):
    """Top, bottom, left and right of what has a colour, which must fill them."""
    rows, columns = np.nonzero((page == colour).all(-1))
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    assert len(rows) == (bottom - top) * (right - left)
    return top, bottom, left, right


@pytest.mark.parametrize(("size", "shown"), [((32, 32), (128, 128)), ((40, 60), (160, 240)), ((150, 200), (150, 200))])
def test_every_tile_is_whole_magnified_and_in_its_row_and_column(size, shown):
    page = pixels(sheet(["a_noise", "b_noise", "c_blur"], size))
    tiles = [[boxes(page, (10 * (row + 1), column + 1, 255)) for column in range(2)] for row in range(3)]
    for row in tiles:
        assert row[0][:2] == row[1][:2]
        assert row[0][3] < row[1][2]
    for column in range(2):
        assert len({row[column][2:] for row in tiles}) == 1
    for above, below in pairwise(tiles):
        assert above[0][1] < below[0][0]
    assert {(bottom - top, right - left) for row in tiles for top, bottom, left, right in row} == {shown}
    inside, between = (below[0][0] - above[0][1] for above, below in pairwise(tiles))
    assert between > inside  # groups stand apart


def test_the_clean_image_begins_each_row():
    page = pixels(sheet(["a_noise", "c_blur"]))
    clean = (page == (0, 0, 255)).all(-1)
    assert clean.sum() == 2 * 128**2
    first = [boxes(page, (red, 1, 255)) for red in (10, 20)]
    rows, columns = np.nonzero(clean)
    assert columns.max() < first[0][2]
    assert set(rows) == {row for top, bottom, *_ in first for row in range(top, bottom)}


def test_rows_follow_the_groups_and_strangers_come_last():
    page = pixels(sheet(["x_other", "c_blur", "a_noise"]))
    tops = {name: boxes(page, (10 * (row + 1), 1, 255))[0] for row, name in enumerate(["x_other", "c_blur", "a_noise"])}
    assert sorted(tops, key=tops.get) == ["a_noise", "c_blur", "x_other"]


def test_labels_leave_ink_where_they_belong():
    page = pixels(sheet(["a_noise"]))
    top, bottom, left, right = boxes(page, (10, 1, 255))
    for region in (page[top - 24 : top, left:right], page[top:bottom, : boxes(page, (0, 0, 255))[2]], page[:40]):
        assert (region.sum(-1) < 200).sum() > 20
    assert (page[:, -3:] == 255).all()  # nothing is cut off at the right


def test_a_long_note_widens_the_sheet():
    narrow, wide = (pixels(sheet(["a_noise"], note="n" * count)).shape[1] for count in (5, 200))
    assert wide > narrow


def test_the_same_images_give_the_same_bytes():
    assert sheet(["a_noise"]) == sheet(["a_noise"])
    assert sheet(["a_noise"]) != sheet(["a_noise"], note="another")

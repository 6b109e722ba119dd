"""The photographs of frost: named for one call, told in the manifest, refused when damaged."""

import json
import os

import pytest
from makings import HERE

from rbench.cli import run
from rbench.corruptions import frost_images
from rbench.errors import MissingError, UsageError
from rbench.making.frost import frost_source
from rbench.making.run import make


def test_frost_photographs_are_named_for_the_time_of_one_call(tmp_path, monkeypatch):
    monkeypatch.setenv("RBENCH_FROST", "before")
    with frost_source(tmp_path):
        assert os.environ["RBENCH_FROST"] == str(tmp_path)
    assert os.environ["RBENCH_FROST"] == "before"
    monkeypatch.delenv("RBENCH_FROST")
    with pytest.raises(KeyError), frost_source(tmp_path):
        raise KeyError
    assert "RBENCH_FROST" not in os.environ
    with pytest.raises(UsageError, match="no folder"), frost_source(tmp_path / "nowhere"):
        pass


@pytest.mark.parametrize(("source", "warned"), [("procedural", True), ("photographs", False)])
def test_frost_of_other_pictures_is_in_the_manifest_and_said(tmp_path, monkeypatch, capsys, source, warned):
    monkeypatch.setattr(frost_images, "source", lambda: source)
    monkeypatch.setattr(frost_images, "digest", lambda: "abc")
    words = [*HERE, "--corruption", "frost", "--out", str(tmp_path)]
    assert run(words) == 0
    assert ("WARNING: frost is procedural; name a folder" in capsys.readouterr().err) is warned
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["frost"] == {"source": source, "digest": "abc"}
    monkeypatch.setattr(frost_images, "digest", lambda: "others")
    assert run(words) == 4
    assert "its frost is {'digest': 'abc'" in capsys.readouterr().err


def test_damaged_frost_photographs_are_refused_before_anything_is_written(tmp_path):
    (tmp_path / "frost").mkdir()
    for name in frost_images.PHOTOGRAPHS:
        (tmp_path / "frost" / name).write_bytes(b"ice")
    with pytest.raises(MissingError, match="frost"):
        make("digits", tmp_path / "out", corruptions=("brightness", "frost"), limit=9, frost=tmp_path / "frost")
    assert not (tmp_path / "out").exists()

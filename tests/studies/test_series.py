"""Analyses along an axis: which files a pattern means, in which order, and what the axis is called."""

import pandas as pd
import pytest
import safetensors.torch

from rbench import studies
from rbench.catalog import Catalog
from rbench.errors import MissingError, UsageError
from rbench.studies.series import axis_of, expanded, told


@pytest.fixture
def epochs(tmp_path):
    """Weights of three epochs: those of at-digits, twice, and of standard-digits; numbers that words would misorder."""
    catalog = Catalog.find()
    folder = tmp_path / "run[1]" / "epochs"
    folder.mkdir(parents=True)
    for number, name in ((10, "standard-digits"), (2, "at-digits"), (0, "at-digits")):
        tensors = safetensors.torch.load_file(catalog.weights(catalog.model(name))[0])
        safetensors.torch.save_file(tensors, folder / f"{number}.safetensors")
    return folder


def test_a_star_stands_for_numbers_in_their_order(epochs):
    word = f"at-digits@{epochs}/*.safetensors"
    points = expanded(word)
    assert [point.labels for point in points] == [{"model": word, "at": number} for number in (0, 2, 10)]
    assert [point.file for point in points] == [f"at-digits@{epochs}/{number}.safetensors" for number in (0, 2, 10)]
    assert axis_of("dependence", [word]) == "epochs"
    short = expanded(f"at-digits@{epochs}/*")
    assert [(point.file, point.labels["at"]) for point in short] == [(p.file, p.labels["at"]) for p in points]


def test_a_star_may_stand_for_words_or_for_values_of_a_key(tmp_path):
    for value in ("10", "9", "last"):
        (tmp_path / f"parts.f_b={value}").mkdir()
        (tmp_path / f"parts.f_b={value}" / "w.safetensors").write_bytes(b"")
    word = f"net@{tmp_path}/parts.f_b=*/w.safetensors"
    assert [point.labels["at"] for point in expanded(word)] == ["10", "9", "last"]
    assert axis_of("dependence", [word]) == "parts.f_b"


def test_models_without_a_star_are_what_they_are():
    assert expanded("at-digits")[0] == ("at-digits", {"model": "at-digits"})
    assert len(expanded("net.py:make*")) == 1
    assert axis_of("blocks", ["at-digits", "at-digits@some/file"]) is None


@pytest.mark.parametrize(
    ("name", "models", "error", "message"),
    [
        ("dependence", ["at-digits@nowhere/*"], MissingError, r"no checkpoint matches nowhere/\*"),
        ("dependence", ["at-digits@*/epochs/*"], UsageError, "has several stars"),
        ("blocks", ["at-digits@{}"], UsageError, "analysis 'blocks' has no figure along an axis"),
        ("dependence", ["at-digits@{}", "at-digits"], UsageError, "'at-digits' does not; analyse them one by one"),
    ],
)
def test_patterns_that_cannot_be_drawn(name, models, error, message, epochs, tmp_path):
    words = [model.format(f"{epochs}/*.safetensors") for model in models]
    with pytest.raises(error, match=message):
        studies.analyse(name, words, "digits-linf", limit=2, out=tmp_path)


def test_dependence_by_epoch_is_that_of_each_file(epochs, tmp_path):
    def asked(*models):
        out = tmp_path / "out"
        studies.analyse("dependence", models, "digits-linf", limit=60, out=out, options={"last": 1})
        assert (out / "dependence.png").read_bytes()[:4] == b"\x89PNG"
        return pd.read_csv(out / "dependence.csv")

    frame = asked(f"at-digits@{epochs}/*.safetensors")
    assert list(frame.columns[:2]) == ["model", "at"]
    assert list(frame["at"].unique()) == [0, 2, 10]
    by = {place: list(part.bits) for place, part in frame.groupby("at")}
    alone = asked("at-digits", "standard-digits")
    assert by[0] == by[2] == list(alone[alone.model == "at-digits"].bits)
    assert by[10] == list(alone[alone.model == "standard-digits"].bits)


def test_the_progress_of_an_analysis_shows_what_tells_files_apart(epochs, capsys):
    assert told(["a", "b@/x/1/w.safetensors", "b@/x/2/w.safetensors", "c@/x/v"]) == ["a", "b@1/w", "b@2/w", "c@v"]
    assert told(["a@/x/w.safetensors", "b@/x/w.safetensors", "a@/w"]) == ["a@x/w", "b@x/w", "a@/w"]
    assert told(["a@y/w.pt", "a@x/y/w.pt"]) == ["a@y/w.pt", "a@x/y/w.pt"]
    models = [f"at-digits@{epochs}/{epoch}.safetensors" for epoch in (0, 10)]
    studies.analyse("confidence", models, "digits-linf", limit=2, progress=True, options={"subnets": 1})
    shown = capsys.readouterr().err
    assert ("at-digits@0 " in shown, "at-digits@10 " in shown, str(epochs.parent) in shown) == (True, True, False)

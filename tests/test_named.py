"""The shelves name what there is: each entry of ours, and one wrong name of every kind with its file and remedy."""

import pytest

from rbench import named
from rbench.catalog import Catalog
from rbench.errors import UsageError

OURS = Catalog.find()
FIGURE = """title = "x"
[draw]
use = "rbench.report.charts.trainings:trainings"
args = { models = ["at-digits"] }
"""
STUDY = """title = "x"
suite = "digits-linf"
seeds = [0, 1, 2]
first = "worst"
[measures.worst]
of = ["clean", "pgd20"]
[arms.at]
model = "at-digits"
override = { epochs = 1 }
"""
SEARCH = 'title = "x"\nsupernet = "robnet-supernet-digits"\nrecipe = "robnet-candidate-digits"\nsample = 2\n'
GATE = 'title = "x"\nsuite = "digits-linf"\nmodel = "at-digits"\nscores.clean.delta = 0.1\n'
NAMES = {"figures": FIGURE, "studies": STUDY, "searches": SEARCH, "gates": GATE}


def shelved(kind, text, folder):
    """The built-in catalog after one more entry, named 'mine'."""
    file = folder / "reports" / kind / "mine.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return Catalog((folder, *OURS.roots)), file


@pytest.mark.parametrize("kind", NAMES)
def test_every_entry_of_ours_is_found_and_one_more(kind, tmp_path):
    catalog, _ = shelved(kind, NAMES[kind], tmp_path)
    lines = list(getattr(named, kind)(catalog))
    assert [line.split()[1] for line in lines] == ["mine", *OURS.files(kind)]


@pytest.mark.parametrize(
    ("kind", "right", "wrong", "said"),
    [
        ("figures", "at-digits", "at-digit", "no model named 'at-digit'. Did you mean 'at-digits'"),
        ("studies", "digits-linf", "digits-lnf", "no suite named 'digits-lnf'. Did you mean 'digits-linf'"),
        ("studies", "pgd20", "pgd-20", "no probe named 'pgd-20' in suite 'digits-linf'. Did you mean 'pgd20'"),
        ("studies", "at-digits", "at-digit", "no model named 'at-digit'. Did you mean 'at-digits'"),
        ("studies", "at-digits", "free-at-resnet50-imagenet", "has no recipe; name a model whose card has one"),
        ("studies", "epochs", "epoch", "epoch"),
        ("searches", "robnet-supernet-digits", "robnet-supernet-digit", "Did you mean 'robnet-supernet-digits'"),
        ("searches", "robnet-candidate", "robnet-candidat", "Did you mean 'robnet-candidate-digits'"),
        ("gates", "at-digits", "at-digit", "no model named 'at-digit'. Did you mean 'at-digits'"),
        ("gates", "digits-linf", "digits-lnf", "no suite named 'digits-lnf'. Did you mean 'digits-linf'"),
        ("gates", "scores.clean", "scores.clen", "no score named 'clen' in digits-linf. Did you mean 'clean'"),
    ],
)
def test_a_wrong_name_is_told_with_its_file_and_the_nearest_match(kind, right, wrong, said, tmp_path):
    catalog, file = shelved(kind, NAMES[kind].replace(right, wrong, 1), tmp_path)
    with pytest.raises(UsageError, match=said) as caught:
        list(getattr(named, kind)(catalog))
    assert str(file) in str(caught.value)

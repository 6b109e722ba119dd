import pytest
from makings import ARRAYS

from rbench.making import layouts


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Seven images in a block, so that twenty images take three."""
    monkeypatch.setattr(layouts, "BLOCK_PIXELS", 1)
    monkeypatch.setattr(layouts, "BLOCK_LEAST", 7)


@pytest.fixture
def loaders(tmp_path):
    (tmp_path / "loaders.py").write_text(ARRAYS)
    return f"{tmp_path / 'loaders.py'}:{{}}".format

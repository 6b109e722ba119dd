"""Every card of the shelf, read once for all test files that ask which cards there are."""

import pytest

from rbench.catalog import Catalog

CATALOG = Catalog.find()
CARDS = CATALOG.cards()
FROM_HUBS = "rbench.hubs."


def need(card):
    """Skip the test unless the package that builds the card is installed: some are extras."""
    where = card.arch.use.partition(":")[0]
    if where.startswith(FROM_HUBS):
        pytest.importorskip(where.removeprefix(FROM_HUBS))

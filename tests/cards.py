"""Every card of the shelf, read once for all test files that ask which cards there are."""

from rbench.catalog import Catalog

CATALOG = Catalog.find()
CARDS = CATALOG.cards()

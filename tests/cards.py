"""Every card of the shelf, read once for all test files that ask which cards there are."""

from rbench.catalog import Catalog

CATALOG = Catalog.find()
CARDS = {name: CATALOG.model(name) for name in CATALOG.files("models")}

"""How many parameters the network of a card has, counted without making them."""

from rbench.catalog import bind
from rbench.errors import MissingError
from rbench.types import ModelCard

UNIT = 2**20  # that of AW-Net's tables; others count in millions


def size_of(card: ModelCard) -> str:
    """The number of parameters, also in units of 2^20, or why it cannot be told; imports torch.

    Networks are built on the device meta, where weights take neither memory nor time. Raises as their builders do, but
    not for a package that is missing.
    """
    import torch

    try:
        with torch.device("meta"):
            count = sum(parameter.numel() for parameter in bind(card.arch)().parameters())
    except MissingError as error:
        return f"not counted: {error}"
    return f"{count:,} ({count / UNIT:.1f} x 2^20)"

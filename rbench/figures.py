"""What a figure of the shelf shows: the function that makes it of what was run, and that function's arguments."""

from dataclasses import dataclass
from typing import ClassVar

from rbench.types import STRICT, Call

GIVEN = ("catalog", "root", "means")  # what a function is given if it takes it


@dataclass(frozen=True)
class FigureSpec:
    """A figure: `draw` makes it of runs, trainings, a study, a search or an analysis; `shows` is its place in a paper.

    The function takes `catalog`, `root`, the folder of runs, and `means` if it must ask models; it gives a `Drawing`.
    """

    __pydantic_config__: ClassVar = STRICT
    name: str
    title: str
    draw: Call
    shows: str = ""

"""Passes through a model: what a sample takes of them, and what the evidence counts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Passes:
    """At most so many forwards and backwards a sample; with `met`, one that withstands takes exactly so many.

    Samples that fall leave early, and those that are wrong from the start are not attacked at all. What an attack asks
    of a single image of a batch, such as the count of classes, is counted for every sample.
    """

    forwards: int
    backwards: int = 0
    met: bool = True

    def __add__(self, other: "Passes") -> "Passes":
        """One after the other."""
        return Passes(self.forwards + other.forwards, self.backwards + other.backwards, self.met and other.met)

    def __mul__(self, times: int) -> "Passes":
        """Several times over."""
        return Passes(self.forwards * times, self.backwards * times, self.met)

    def __or__(self, other: "Passes") -> "Passes":
        """One or the other, whichever takes more: no sample need take both maxima."""
        most = max(self.forwards, other.forwards), max(self.backwards, other.backwards)
        return Passes(*most, met=self == other and self.met)

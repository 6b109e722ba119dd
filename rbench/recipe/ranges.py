"""Refusals of values that the parts of a recipe cannot have."""

from typing import Any

from rbench.errors import UsageError
from rbench.types import fraction


def positive(table: str, part: Any, *keys: str) -> None:
    """Refuse values of a table that are not greater than 0."""
    for key in keys:
        if (value := getattr(part, key)) is not None and not value > 0:
            raise UsageError(f"{table}.{key} = {value} must be greater than 0.")


def at_least(least: float, table: str, part: Any, *keys: str) -> None:
    """Refuse values of a table, or of the recipe itself, that are less than `least`."""
    for key in keys:
        if (value := getattr(part, key)) is not None and not value >= least:
            raise UsageError(f"{table}{key} = {value} must be at least {least}.")


def below_one(table: str, part: Any, *keys: str) -> None:
    """Refuse values of a table outside [0, 1)."""
    for key in keys:
        if (value := getattr(part, key)) is not None and not 0 <= value < 1:
            raise UsageError(f"{table}{key} = {value} must be at least 0 and less than 1.")


def attack_of_steps(table: str, part: Any) -> None:
    """Refuse an attack without steps, or with one of no length."""
    at_least(1, f"{table}.", part, "steps")
    if not fraction(part.rel_step, f"{table}.rel_step") > 0:
        raise UsageError(f"{table}.rel_step = {part.rel_step!r} must be greater than 0.")

"""Intervals, paired tests, bets and surveys: closed forms and their sources; pure."""

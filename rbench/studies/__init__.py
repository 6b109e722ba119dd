"""Verbs that take several evaluations or trainings: security curves, cross-checks, studies, searches, analyses."""

from rbench.studies.analyses import Analysis, analyse
from rbench.studies.crosschecks import crosscheck
from rbench.studies.curves import CurveStudy, security_curve
from rbench.studies.searches import SearchStudy, search, unsearched
from rbench.studies.trials import TrialStudy, left, study

__all__ = [
    "Analysis",
    "CurveStudy",
    "SearchStudy",
    "TrialStudy",
    "analyse",
    "crosscheck",
    "left",
    "search",
    "security_curve",
    "study",
    "unsearched",
]

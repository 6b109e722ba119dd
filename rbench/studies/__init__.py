"""Verbs that take many evaluations or trainings: curves, cross-checks, studies, searches, analyses, figures."""

from rbench.studies.analyses import Analysis, analyse
from rbench.studies.crosschecks import crosscheck, crosscheck_all
from rbench.studies.curves import CurveStudy, security_curve
from rbench.studies.figures import figure
from rbench.studies.searches import SearchStudy, search, unsearched
from rbench.studies.trials import TrialStudy, left, study

__all__ = [
    "Analysis",
    "CurveStudy",
    "SearchStudy",
    "TrialStudy",
    "analyse",
    "crosscheck",
    "crosscheck_all",
    "figure",
    "left",
    "search",
    "security_curve",
    "study",
    "unsearched",
]

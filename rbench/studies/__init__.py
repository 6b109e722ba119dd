"""Verbs that take several evaluations: security curves, cross-checks against other packages, studies of trainings."""

from rbench.studies.analyses import Analysis, analyse
from rbench.studies.crosschecks import crosscheck
from rbench.studies.curves import CurveStudy, security_curve
from rbench.studies.trials import TrialStudy, left, study

__all__ = ["Analysis", "CurveStudy", "TrialStudy", "analyse", "crosscheck", "left", "security_curve", "study"]

"""Outcomes to numbers; pure. A metric maps the outcomes of its probes, in the order of the suite, to a `Score`."""

from rbench.metrics.attacked import accuracy, router_gain, transfer_success, w_robust, worst_case

__all__ = ["accuracy", "router_gain", "transfer_success", "w_robust", "worst_case"]

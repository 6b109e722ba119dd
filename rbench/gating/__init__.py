"""Has a model lost robustness against a baseline? Baselines, the three stages of a gate, and its text."""

"""Enhancing weak subnets (Guo, Stutz and Schiele, "Improving robustness by enhancing weak subnets", ECCV 2022)."""

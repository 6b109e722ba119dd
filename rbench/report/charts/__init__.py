"""Figures of what was run: each function takes catalog and folder of runs, and gives a figure with its data.

None of them evaluates or trains anything: what is missing is an error that names the commands which make it.
"""

"""Attacks of other packages that a suite names itself, as `use = "torchattacks:DIFGSM"`; nothing here imports them."""

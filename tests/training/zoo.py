"""A tiny catalog for tests that train by the command line: two models, one by TRADES with everything, one plain."""

CARD = """
title = "Tiny"
dataset = "digits"
recipe = "{recipe}"
[arch]
use = "rbench.models.preact_resnet:preact_resnet_small"
args = {{ classes = 10, mean = [0.3, 0.3, 0.3], std = [0.3, 0.3, 0.3], width = 4 }}
"""
WHOLE = """
epochs = 3
batch = 60
holdout = 97
threads = 1
data = {{ use = "{small}" }}
objective = {{ use = "rbench.training.objectives:trades" }}
optimiser = {{ lr = 0.05 }}
[attack]
threat = {{ norm = "linf", eps = "24/255" }}
steps = 2
rel_step = "1/2"
loss = "kl"
mode = "eval"
[awp]
gamma = 0.005
[ews]
every = 1
subset = 0.3
subnets = 2
[selection]
threat = {{ norm = "linf", eps = "24/255" }}
steps = 2
rel_step = "1/2"
"""
PLAIN = """
epochs = 2
batch = 60
holdout = 97
threads = 1
data = {{ use = "{small}" }}
objective = {{ use = "rbench.training.objectives:standard" }}
optimiser = {{ lr = 0.05 }}
[presets.slow]
"optimiser.lr" = 0.01
epochs = 3
"""


def write(root, small):
    """The shelves below `root`, trained on the data that the pointer `small` loads."""
    zoo = root / "model_zoo"
    (zoo / "recipes").mkdir(parents=True)
    for name, recipe in (("tiny-whole", WHOLE), ("tiny-plain", PLAIN)):
        (zoo / f"{name}.toml").write_text(CARD.format(recipe=name))
        (zoo / "recipes" / f"{name}.toml").write_text(recipe.format(small=small))
    return root

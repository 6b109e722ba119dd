"""The options that commands share: their words, types and what `--help` says about them."""

from pathlib import Path
from typing import Annotated

import typer

A_MODEL = "A model's name, one of timm:, torchvision:, hf: or robustbench:, or file.py:function that builds one."
CatalogDir = Annotated[
    list[Path] | None, typer.Option("--catalog", help="A further folder with shelves of TOML files.")
]
SuiteName = Annotated[str, typer.Option("--suite", help="The suite: see `rbench ls suites`.")]
ModelName = Annotated[str, typer.Option("--model", help=A_MODEL)]
OrSuite = Annotated[str | None, typer.Option("--suite", help="The suite: see `rbench ls suites`.")]
OrModel = Annotated[str | None, typer.Option("--model", help=A_MODEL)]
OrTable = Annotated[
    str | None, typer.Option("--table", help="In place of suite and model: all runs of a table that it needs.")
]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the first N samples; the number is then a subset's.")]
Seed = Annotated[int, typer.Option(help="The seed of all randomness.")]
Eps = Annotated[str | None, typer.Option(help="Another budget than the suite's, as printed: 8/255 or 0.03.")]
EpsList = Annotated[
    str | None,
    typer.Option("--eps", help="Another budget than the suite's, as printed: 8/255; or a curve: 0,4/255,8/255."),
]
Probes = Annotated[list[str] | None, typer.Option("--probe", help="Only this probe of the suite; may be repeated.")]
Backend = Annotated[
    str | None, typer.Option(help="Attacks by another package: pyautoattack, or torchattacks:NAME for one of them.")
]
Batch = Annotated[
    str | None,
    typer.Option(
        metavar="N|auto",
        help="Batch size of native attacks, measured by default; auto: the largest for a GPU, the fastest for a CPU.",
    ),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; by default one a core on a CPU, else one a GPU.")]
Engine = Annotated[str, typer.Option(help="local, or ray for a cluster's workers.")]
Shard = Annotated[
    str | None, typer.Option(help="Only this share of the blocks, 2/4, in a run folder of its own; see `rbench merge`.")
]
Address = Annotated[
    str | None,
    typer.Option(help="The head of the Ray cluster, host:port; default $RAY_ADDRESS, or this host's."),
]
Gpus = Annotated[float | None, typer.Option(help="With ray: the share of a GPU that each worker gets; default 1.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; a GPU by default where there is one.")]
Runs = Annotated[Path | None, typer.Option(help="The folder of runs; default $RBENCH_RUNS or runs/.")]
Weights = Annotated[Path | None, typer.Option(help="A checkpoint to use in place of the card's own.")]
DataDir = Annotated[Path | None, typer.Option(help="The folder of datasets; default $RBENCH_DATA or data/.")]
Download = Annotated[
    bool,
    typer.Option("--download", help="Fetch what is missing: the dataset, and the weights of timm:NAME and the like."),
]
Arch = Annotated[
    str | None, typer.Option("--arch", help="The card of a checkpoint: --model net.safetensors --arch at-wrn34.")
]
Track = Annotated[list[str] | None, typer.Option("--track", help="Tell tensorboard or mlflow, too; both may be.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Move an old run aside and start anew.")]
AllowPartial = Annotated[
    bool, typer.Option("--allow-partial", help="Leave out corruptions whose data are missing; scores get a star.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Leave with code 2 unless the verdict is reliable.")]
Form = Annotated[str, typer.Option("--format", "-f", help="terminal, markdown, html, latex, latex-siunitx, csv, json.")]
Columns = Annotated[
    str | None,
    typer.Option(
        "--columns", help="The numbers to show: measured, published, both or difference, which is measured - published."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Size = Annotated[bool, typer.Option("--size", help="Count the parameters, too: builds the network, without weights.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]

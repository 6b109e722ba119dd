"""A model card: Markdown for people and, as Hugging Face reads it, metadata in front.

The metadata follow huggingface/hub-docs, modelcard.md.
"""

from collections.abc import Iterator
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from tabulate import tabulate

from rbench.captions import NORMS
from rbench.dossier import Dossier, Measured
from rbench.pages import Cell, Column
from rbench.planner import Variant
from rbench.report.cells import MARKS, arrow, footnotes, interval, legend, percent, verdicts
from rbench.types import Reported, Score, ScoreSpec, Threat, verdict_of

LICENSE = "apache-2.0"  # that of this project, whose shelf the weights lie on
TASK = "image-classification"
TAGS = (TASK, "robustness", "adversarial-robustness", "rbench")
ON_HUB = {  # the ids of datasets there; others keep their names
    "cifar10": "uoft-cs/cifar10",
    "cifar100": "uoft-cs/cifar100",
    "imagenet": "ILSVRC/imagenet-1k",
    "svhn": "ufldl-stanford/svhn",
    "tiny-imagenet": "zh-plus/tiny-imagenet",
}
SHARES = "Values in the metadata are shares, as those of the Hub's metric `accuracy` are: 0.5 there is 50.0 here."
ONE_TRAINING = "Intervals are over images, for this one set of weights; another training gives other numbers."
UPPER_BOUND = "Accuracy under an attack bounds robust accuracy from above: a stronger attack may find more."
SUBSET = "Numbers of a subset are not comparable with published ones."
NOT_THERE = (
    "The metadata hold no numbers of a subset of the samples or of the data: who sorts them would take them for whole."
)
UNDIAGNOSED = "A run without a verdict was not diagnosed: nothing looked for hidden gradients."


def model_card(found: Dossier, *, hf: bool = False, size: str = "") -> str:
    """The card of a model; `hf` puts Hugging Face's metadata in front, with the scores as a `model-index`.

    `size` is what is said of its parameters, if anything.
    """
    page = _template().render(
        card=found.card,
        provenance=[*_provenance(found, size)],
        pages=[_page(page) for page in found.measured],
        reported=_reported(found),
        unmeasured=found.unmeasured,
        limits=[*(_of_metadata(found) if hf else ()), *_limits(found)],
    )
    if not hf:
        return page
    front = yaml.safe_dump(_metadata(found), sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{front}---\n\n{page}"


def _template() -> Any:
    environment = Environment(  # noqa: S701 - the page is Markdown, and its words are those of the shelf
        loader=PackageLoader("rbench.report"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md")


def _provenance(found: Dossier, size: str) -> Iterator[str]:
    card = found.card
    yield f"Paper: {card.paper or 'none'}"
    arguments = ", ".join(f"{key} = {value}" for key, value in card.arch.args.items())
    yield f"Architecture: `{card.arch.use}`, {arguments or 'no arguments'}"
    if size:
        yield f"Parameters: {size}"
    yield f"Recipe: {f'`{card.recipe}`' if card.recipe else 'none'}"
    yield f"Weights: {f'sha256 `{found.digest}`' if found.digest else f'none yet: {card.remedy}'}"
    yield f"License: {LICENSE}, that of rbench"


def _page(page: Measured) -> dict[str, Any]:
    """One run as the template shows it."""
    sheet = page.sheet
    rows = [_row(column, cell) for column, cell in _cells(page)]
    head = ["Score", "", "Value in %", "95% interval", "n", "Findings"]
    return {
        "title": sheet.title,
        "legend": "\n\n".join([*sheet.protocol, legend(sheet)]),
        "table": tabulate(rows, head, tablefmt="github", disable_numparse=True),
        "notes": [*verdicts(sheet), *footnotes(sheet)],
        "command": page.command,
    }


def _row(column: Column, cell: Cell) -> list[str]:
    title = _escaped(f"{column.group}: {column.title}" if column.group else column.title)
    if cell.score is None:
        return [title, arrow(column), "-", "", "", ""]
    value = f"{percent(cell.score.value)}{MARKS[cell.verdict]}"
    return [title, arrow(column), value, interval(cell.score), str(cell.score.n), " ".join(_codes(cell.score))]


def _cells(page: Measured) -> list[tuple[Column, Cell]]:
    ((model, _),) = page.sheet.rows
    return [(column, page.sheet.cells[model, column.key]) for column in page.sheet.columns]


def _codes(score: Score) -> list[str]:
    return list(dict.fromkeys(finding.code for finding in score.findings))


def _reported(found: Dossier) -> str:
    """What the paper prints beside what was measured of all samples, as a table; "" if it prints nothing."""
    rows = [
        [claim.suite, claim.score, f"{claim.value:g}", _here(found, claim), _escaped(claim.source)]
        for claim in found.card.reported
    ]
    return tabulate(rows, ["Suite", "Score", "Paper", "Here", "Source"], tablefmt="github", disable_numparse=True) if rows else ""  # fmt: skip # noqa: E501


def _here(found: Dossier, claim: Reported) -> str:
    for page in found.measured:
        if page.suite.name == claim.suite and page.variant == Variant(page.variant.seed):
            for column, cell in _cells(page):
                if column.key == f"{claim.suite}:{claim.score}" and cell.score is not None:
                    return f"{percent(cell.score.value)}{MARKS[cell.verdict]} {interval(cell.score)}"
    return "-"


def _of_metadata(found: Dossier) -> Iterator[str]:
    if any(map(_whole, found.measured)):
        yield SHARES
    if not all(map(_whole, found.measured)):
        yield NOT_THERE


def _whole(page: Measured) -> bool:
    """Whether a run is of all samples and all data of its suite."""
    return page.variant.limit is None and not page.variant.missing


def _limits(found: Dossier) -> Iterator[str]:
    yield from (line for page in found.measured for line in page.sheet.protocol[:1])
    if found.measured:
        yield ONE_TRAINING
    attacked = [page for page in found.measured if any(probe.attack for probe in page.suite.probes)]
    if attacked:
        yield UPPER_BOUND
    if any(page.variant.limit is not None for page in found.measured):
        yield SUBSET
    if any(not page.sheet.verdicts for page in attacked):
        yield UNDIAGNOSED
    if not found.measured:
        yield "Nothing was measured, so nothing is claimed."


def _escaped(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", r"\|")


def _metadata(found: Dossier) -> dict[str, Any]:
    """The metadata; without whole runs there are no metrics and no model-index."""
    card = found.card
    results = [_result(page) for page in found.measured if _whole(page)]
    front: dict[str, Any] = {
        "license": LICENSE,
        "library_name": "rbench",
        "pipeline_tag": TASK,
        "tags": list(TAGS),
        "datasets": [ON_HUB.get(card.dataset, card.dataset)],
    }
    if results:
        front["metrics"] = list(dict.fromkeys(metric["type"] for result in results for metric in result["metrics"]))
        front["model-index"] = [{"name": card.name, "results": results}]
    return front


def _result(page: Measured) -> dict[str, Any]:
    """One run as an entry of the model-index."""
    name = page.suite.dataset
    dataset = {"name": f"{name}, suite {page.suite.name}@{page.suite.version}", "type": ON_HUB.get(name, name)}
    split = page.suite.data.args.get("split")
    specs = {f"{page.suite.name}:{spec.name}": spec for spec in page.suite.scores}
    metrics = [_metric(page, specs[column.key], cell.score) for column, cell in _cells(page) if cell.score is not None]
    return {
        "task": {"type": TASK, "name": "Image classification"},
        "dataset": dataset | ({"split": split} if isinstance(split, str) else {}),
        "metrics": metrics,
    }


def _metric(page: Measured, spec: ScoreSpec, score: Score) -> dict[str, Any]:
    """One score; its type is the function that it is, and its protocol and its doubt are arguments."""
    threats, verdict = _threats(page, spec), verdict_of(score.findings)
    told = verdict != "reliable" or verdict in page.sheet.verdicts.values()  # which only a diagnosis puts there
    balls = ", ".join(f"{NORMS[threat.norm]}, eps = {threat.eps}" for threat in threats)
    args = {
        "suite": f"{page.suite.name}@{page.suite.version}",
        "score": spec.name,
        "n": int(score.n),
        "low": float(score.interval[0]),
        "high": float(score.interval[1]),
        "seed": page.variant.seed,
        **({"norm": threats[0].norm, "eps": " ".join(threat.eps for threat in threats)} if threats else {}),
        **({"backend": page.variant.backend} if page.variant.backend is not None else {}),
        **({"verdict": verdict} if told else {}),
        **({"findings": _codes(score)} if score.findings else {}),
    }
    title = spec.title or spec.name
    return {
        "type": spec.use.rpartition(":")[2],
        "name": f"{title} ({balls})" if balls else title,
        "value": float(score.value),
        "verified": False,
        "args": args,
    }


def _threats(page: Measured, spec: ScoreSpec) -> list[Threat]:
    """The threats of the attacks behind a score, each once."""
    asked = [probe for probe in page.suite.probes if probe.name in spec.of and probe.attack is not None]
    rules = [Threat(page.suite.rules.norm, probe.eps or page.suite.rules.eps) for probe in asked]
    return list(dict.fromkeys(rules))

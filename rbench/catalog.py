"""Names to specs: finds TOML on the shelves, checks every key, resolves pointers and binds arguments.

The registry is a directory listing: a model, recipe, suite or table exists because its file does.
"""

import hashlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

from pydantic import TypeAdapter, ValidationError

from rbench import types
from rbench.candidates import Search
from rbench.errors import MissingError, UsageError, unknown
from rbench.figures import FigureSpec
from rbench.gates import Gate
from rbench.plugins import plugins
from rbench.recipe import Recipe
from rbench.tables import TableSpec
from rbench.trials import Study

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

T = TypeVar("T")
Kind = Literal["models", "recipes", "suites", "tables", "figures", "studies", "searches", "gates"]
SHELVES: Mapping[Kind, tuple[str, type[Any]]] = {
    "models": ("model_zoo", types.ModelCard),
    "recipes": ("model_zoo/recipes", Recipe),
    "suites": ("suites", types.Suite),
    "tables": ("reports", TableSpec),
    "figures": ("reports/figures", FigureSpec),
    "studies": ("reports/studies", Study),
    "searches": ("reports/searches", Search),
    "gates": ("reports/gates", Gate),
}
SINGULAR: Mapping[Kind, str] = {
    "models": "model",
    "recipes": "recipe",
    "suites": "suite",
    "tables": "table",
    "figures": "figure",
    "studies": "study",
    "searches": "search",
    "gates": "gate",
}
NESTED: tuple[Kind, ...] = ("models", "recipes")
ADAPTERS = {"torchattacks": "rbench.adapters.torchattacks"}  # packages whose attacks are named without a module
AA = types.Call("rbench.attacks.autoattack:autoattack", {"version": "standard"})


@dataclass(frozen=True)
class Catalog:
    """The folders whose shelves are read; the built-in one comes first."""

    roots: tuple[Path, ...]

    @classmethod
    def find(cls, extra: Iterable[str | Path] = ()) -> "Catalog":
        """The built-in shelves, those of `extra` folders, of $RBENCH_CATALOG and of installed packages."""
        named = [Path(root) for root in (*extra, *filter(None, os.environ.get("RBENCH_CATALOG", "").split(os.pathsep)))]
        for root in named:
            if not root.is_dir():
                raise UsageError(f"no catalog folder {root}; name one that holds model_zoo/, suites/ or reports/.")
        roots = [cls.builtin(), *named, *(root for plugin in plugins() for root in plugin.roots)]
        return cls(tuple(dict.fromkeys(root.resolve() for root in roots)))

    @staticmethod
    def builtin() -> Path:
        """The folder of the built-in shelves."""
        package = Path(__file__).parent
        return (package / "share" if (package / "share").is_dir() else package.parent).resolve()

    def files(self, kind: Kind) -> dict[str, Path]:
        """Name -> TOML file of everything on a shelf; the same name found twice is an error that names both files."""
        found: dict[str, Path] = {}
        for root in self.roots:
            for path in _entries(root, kind):
                if path.stem in found:
                    raise UsageError(f"{SINGULAR[kind]} {path.stem!r} is defined twice: {found[path.stem]} and {path}.")
                found[path.stem] = path
        return found

    def model(self, name: str) -> types.ModelCard:
        """The card of a model."""
        card: types.ModelCard = self.load("models", name)
        return card

    def cards(self) -> dict[str, types.ModelCard]:
        """Name -> card of every model."""
        return {name: read_spec(path, types.ModelCard) for name, path in self.files("models").items()}

    def recipe(self, name: str, *, preset: str | None = None, override: Mapping[str, Any] | None = None) -> Recipe:
        """A training recipe, changed as one of its presets says and then by `override`, as "table.key" = value."""
        recipe: Recipe = self.load("recipes", name)
        if preset is not None and preset not in recipe.presets:
            raise unknown("preset", preset, recipe.presets, f"recipe {name!r}")
        changes = {**(recipe.presets[preset] if preset else {}), **(override or {})}
        return read_spec(self.files("recipes")[name], Recipe, changes) if changes else recipe

    def suite(self, name: str) -> types.Suite:
        """A suite."""
        suite: types.Suite = self.load("suites", name)
        return suite

    def table(self, name: str) -> TableSpec:
        """A table."""
        table: TableSpec = self.load("tables", name)
        return table

    def figure(self, name: str) -> FigureSpec:
        """A figure."""
        figure: FigureSpec = self.load("figures", name)
        return figure

    def study(self, name: str) -> Study:
        """A study of trainings."""
        study: Study = self.load("studies", name)
        return study

    def search(self, name: str) -> Search:
        """A search of architectures."""
        search: Search = self.load("searches", name)
        return search

    def gate(self, name: str) -> Gate:
        """A gate."""
        gate: Gate = self.load("gates", name)
        return gate

    def weights(self, card: types.ModelCard) -> tuple[Path, str | None]:
        """The file of a card's weights, whether or not it exists, and its sha256 by the lock (None if not listed)."""
        shelf = next(place for place in self.files("models")[card.name].parents if place.name == "model_zoo")
        lock = shelf / "weights.lock"
        listed = tomllib.loads(lock.read_text()) if lock.is_file() else {}
        return shelf / "weights" / (card.weights or f"{card.name}.safetensors"), listed.get(card.name)

    def baseline(self, name: str) -> Path | None:
        """The file of published values that a suite may compare with, None if there is none of that name."""
        paths = (root / "suites" / "baselines" / f"{name}.toml" for root in self.roots)
        return next((path for path in paths if path.is_file()), None)

    def published(self, name: str, where: str = "") -> Path:
        """The file of the numbers that papers print, which `where` names."""
        files = {path.stem: path for root in self.roots for path in root.glob("reports/published/*.csv")}
        if name not in files:
            raise unknown("file of published numbers", name, files, where)
        return files[name]

    def load(self, kind: Kind, name: str) -> Any:
        """Any entry of a shelf; the names in a suite are held to what they promise."""
        files = self.files(kind)
        if name not in files:
            raise unknown(SINGULAR[kind], name, files)
        spec = read_spec(files[name], SHELVES[kind][1])
        if isinstance(spec, types.Suite):
            check_suite(spec, str(files[name]))
        return spec


def _entries(root: Path, kind: Kind) -> list[Path]:
    """The TOML files of a shelf; those of models and recipes may lie in folders, by dataset, say."""
    shelf = root / SHELVES[kind][0]
    if kind not in NESTED:
        return sorted(shelf.glob("*.toml"))
    recipes = root / SHELVES["recipes"][0]
    return sorted(path for path in shelf.rglob("*.toml") if kind == "recipes" or recipes not in path.parents)


def read_spec(path: Path, spec: type[T], changes: Mapping[str, Any] = MappingProxyType({})) -> T:
    """Read one TOML file as a spec; the file's name is the spec's, and probes and scores keep their order.

    `changes` are made to it first, as "table.key" = value.
    """
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}.") from error
    if "name" in value:
        raise UsageError(f"{path}: remove the key 'name'; the file's name, {path.stem!r}, is the name.")
    value["name"] = path.stem
    for key, changed in changes.items():
        _change(value, key, changed)
    for key in ("probes", "scores", "arms", "measures", "sweeps"):
        if isinstance(value.get(key), dict):
            value[key] = [{"name": name, **entry} for name, entry in value[key].items()]
    try:
        return cast("T", _adapter(cast("Any", spec)).validate_python(value))
    except ValidationError as error:
        changed = ", ".join(f"{key} = {value!r}" for key, value in changes.items())
        where = f"{path}, changed to {changed}" if changed else str(path)
        raise UsageError(f"{where}: {_explain(error, spec)}") from error


@cache
def _adapter(spec: type[Any]) -> TypeAdapter[Any]:
    """What checks the values of a spec; to make it takes longer than to use it."""
    return TypeAdapter(spec)


def _change(tables: dict[str, Any], key: str, value: Any) -> None:
    """Set "table.key" in nested tables; raises `UsageError` where that is no place."""
    *path, last = key.split(".")
    place = tables
    for part in path:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise UsageError(f"{key!r} cannot be changed: {part!r} is no table.")
    place[last] = value


def _explain(error: ValidationError, spec: type[Any]) -> str:
    """The foremost complaint of pydantic as a sentence with its remedy; an unknown key explains a missing one."""
    unknown_key = ("extra_forbidden", "unexpected_keyword_argument")
    first = _deepest(min(error.errors(), key=lambda complaint: complaint["type"] not in unknown_key), error.errors())
    place = ".".join(str(part) for part in first["loc"] if not _names_class(part))
    if first["type"] in unknown_key:
        owner = _owner(first["loc"][:-1], spec)
        return str(unknown("key", str(first["loc"][-1]), [f.name for f in fields(owner)], _table_of(first["loc"])))
    if first["type"] in ("missing", "missing_argument"):
        return f"the key '{place}' is missing."
    what = first["msg"].removeprefix("Value error, ")
    return f"{place}: {what} (got {first['input']!r})" if place else what


def _deepest(first: "ErrorDetails", every: Sequence["ErrorDetails"]) -> "ErrorDetails":
    """Of complaints about one value that may be of several types, the one that goes into it."""
    of_it = [one for one in every if one["loc"][: len(first["loc"]) - 1] == first["loc"][:-1]]
    return max(of_it, key=lambda one: len(one["loc"])) if first["loc"][-1:] in (("str",), ("int",)) else first


def _names_class(part: int | str) -> bool:
    """Whether a part of a location is a class that a value may be of, and no key."""
    return isinstance(part, str) and (part[:1].isupper() or "[" in part)


def _table_of(location: tuple[int | str, ...]) -> str:
    """The table of a file that a key stands in, as TOML writes it; classes that a value may be made of are no part."""
    path = [part for part in location[:-1] if isinstance(part, str) and not _names_class(part)]
    name = ".".join(path)
    several = any(isinstance(part, int) for part in location)
    return (f"[[{name}]]" if several else f"[{name}]") if name else "its top level"


def _owner(location: tuple[int | str, ...], spec: type[Any]) -> type[Any]:
    """The dataclass that the last table of a location belongs to."""
    owner = spec
    for part in location:
        inner = [_dataclass_in(field.type) for field in fields(owner) if field.name == part]
        owner = inner[0] or owner if inner else owner
    return owner


def _dataclass_in(annotation: Any) -> type[Any] | None:
    """The dataclass inside an annotation such as `tuple[Probe, ...]` or `Ews | None`."""
    if isinstance(annotation, type) and is_dataclass(annotation):
        return annotation
    return next(filter(None, map(_dataclass_in, get_args(annotation))), None)


def check_suite(suite: types.Suite, where: str) -> None:
    """Refuse scores of unknown probes, and names that promise a budget (`aa`, `fgsm`, `pgd20`) which is not run."""
    probes = {probe.name: probe for probe in suite.probes}
    for score in suite.scores:
        for name in score.of:
            if name not in probes:
                raise unknown("probe", name, probes, f"{where}: scores.{score.name}.of")
        if score.name == "aa" and [_budget(probes[name].attack) for name in score.of] != ["aa"]:
            raise UsageError(f"{where}: score 'aa' must be of one probe that runs AutoAttack's standard budget.")
    for probe in suite.probes:
        promised = probe.name if re.fullmatch(r"aa|fgsm|pgd\d+", probe.name) else None
        if promised and _budget(probe.attack) != promised:
            raise UsageError(
                f"{where}: probe {probe.name!r} does not run the budget of that name; rename it, or restore the budget."
            )


def _budget(attack: types.Call | None) -> str | None:
    """The name in the field of an attack's budget, None if it has none."""
    if attack is None:
        return None
    if attack.use == AA.use and dict(attack.args) == dict(AA.args):
        return "aa"
    if attack.use == "rbench.attacks.fgsm:fgsm" and not attack.args:
        return "fgsm"
    if attack.use == "rbench.attacks.pgd:pgd":
        return f"pgd{attack.args.get('steps', 20)}"
    return None


def resolve(use: str) -> Callable[..., Any]:
    """The function that a pointer "package.module:function" or "file.py:function" names, or "torchattacks:NAME"."""
    where, _, name = use.rpartition(":")
    if where in ADAPTERS:
        adapted: Callable[..., Any] = importlib.import_module(ADAPTERS[where]).attack(name)
        return adapted
    if where.endswith(".py"):
        module = _import_file(Path(where))
    else:
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            raise UsageError(f"use = {use!r}: no module named {error.name!r}.") from error
        except Exception as error:
            raise MissingError(f"use = {use!r} cannot be imported: {type(error).__name__}: {error}.") from error
    function = getattr(module, name, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise unknown("function", name, public, where)
    return function


def _import_file(path: Path) -> Any:
    name = _module_of(path)
    if name not in sys.modules and not path.is_file():
        raise MissingError(f"no file {path.resolve()}; write a pointer to code as 'file.py:function'.")
    return sys.modules.get(name) or _executed(name, path)


def adopt(path: Path, copy: Path) -> None:
    """Import the code of a file that this machine lacks from a copy; pointers to `path`, an absolute one, then work."""
    name = _module_of(path)
    if name not in sys.modules:
        _executed(name, copy)


def _module_of(path: Path) -> str:
    """The name of the module that a file is imported as."""
    return f"rbench_file_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"


def _executed(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # noqa: S101 - the name ends in .py
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise MissingError(f"{path} cannot be imported: {type(error).__name__}: {error}.") from error
    return module


def bind(call: types.Call, given: Iterable[str] = ()) -> partial[Any]:
    """The function of a call with its arguments bound; `given` names what the caller will add.

    Every argument's name and type is checked against the signature, so that a typo fails before anything is run.
    """
    function = resolve(call.use)
    parameters = inspect.signature(function).parameters
    given = set(given)
    options = {name: p for name, p in parameters.items() if name not in given}
    bound = {}
    for name, value in call.args.items():
        if name not in options:
            raise unknown("argument", name, options, call.use)
        annotation = options[name].annotation
        try:
            untyped = annotation is inspect.Parameter.empty
            bound[name] = value if untyped else TypeAdapter(annotation).validate_python(value)
        except ValidationError as error:
            raise UsageError(f"{call.use}: {name} = {value!r}: {error.errors()[0]['msg']}.") from error
    for name, parameter in options.items():
        if (
            name not in call.args
            and parameter.default is parameter.empty
            and parameter.kind
            not in (
                parameter.VAR_POSITIONAL,
                parameter.VAR_KEYWORD,
            )
        ):
            raise UsageError(f"{call.use}: the argument {name!r} is missing.")
    return partial(function, **bound)


def source_digest(use: str) -> str:
    """The sha256 of the source file that a pointer names; nothing is imported but parent packages.

    For this package's own code it is that of everything which outcomes depend on.
    """
    where = use.rpartition(":")[0]
    if where.split(".")[0] == "rbench":
        return _own_digest()
    if where in ADAPTERS:
        return _adapted_digest(where)
    if where.endswith(".py"):
        path = Path(where)
    else:
        try:
            found = importlib.util.find_spec(where)
        except Exception as error:
            raise MissingError(f"use = {use!r} cannot be imported: {type(error).__name__}: {error}.") from error
        path = Path(found.origin) if found is not None and found.origin else Path()
    if not path.is_file():
        raise MissingError(f"use = {use!r}: its source file cannot be found.")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _adapted_digest(package: str) -> str:
    """The sha256 of an adapter and of all of the package that it adapts; raises `MissingError` without the package."""
    found = importlib.util.find_spec(package)
    if found is None or not found.origin:
        raise MissingError(f"the package {package!r} is not installed; run: pip install 'rbench[{package}]'")
    word = hashlib.sha256()
    for folder in (Path(__file__).parent / "adapters", Path(found.origin).parent):
        for path in sorted(path for path in folder.rglob("*.py") if path.name != "defects.py"):  # that is only text
            word.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return word.hexdigest()


def _own_digest() -> str:
    """The sha256 of all modules of this package that outcomes depend on."""
    package = Path(__file__).parent
    files = [package / f"{name}.py" for name in ("bench", "engine", "measure", "referee", "rng", "types", "views")]
    files += [
        path
        for name in ("attacks", "backends", "corruptions", "data", "models")
        for path in (package / name).rglob("*.py")
    ]
    word = hashlib.sha256()
    for path in sorted(files):
        word.update(path.relative_to(package).as_posix().encode() + path.read_bytes())
    return word.hexdigest()

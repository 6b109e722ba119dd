"""Files in the caches of other packages, laid out by hand as these packages lay them out."""

import base64
import hashlib
from types import SimpleNamespace

import torch

from rbench.catalog import Catalog
from rbench.planner import Variant
from rbench.subject import subject_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def named(model, suite=None):
    """The subject that a name means, under a suite if one is given."""
    return subject_of(Catalog.find(), model, Variant(), suite)


def suite_of(name="digits-linf"):
    return Catalog.find().suite(name)


def in_torch(home, stem, state):
    """A state dict in torch's cache, its name ending in the beginning of its sha256; returns a URL that means it."""
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "new.pth")
    digest = hashlib.sha256((folder / "new.pth").read_bytes()).hexdigest()
    (folder / "new.pth").rename(folder / f"{stem}-{digest[:8]}.pth")
    return SimpleNamespace(url=f"https://example.org/{stem}-{digest[:8]}.pth", sha256=digest)


def in_hf(cache, repo, files):
    """The snapshot of a repository's main branch, by the names and bytes of its files."""
    root = cache / ("models--" + repo.replace("/", "--"))
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    folder = root / "snapshots" / COMMIT
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def installed(root, package, files, requires=()):
    """A package on the path with a hand-made dist-info that records the digests of its files."""
    lines = []
    for name, text in files.items():
        path = root / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
        lines.append(f"{package}/{name},sha256={digest},{path.stat().st_size}")
    info = root / f"{package}-1.0.dist-info"
    info.mkdir()
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n{needs}")
    (info / "RECORD").write_text("\n".join([*lines, f"{info.name}/RECORD,,"]) + "\n")
    return root / package

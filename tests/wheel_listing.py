"""Check what a wheel holds, and that it works unpacked, away from the checkout: python tests/wheel_listing.py FILE."""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

NEEDED = {
    "rbench/cli/__init__.py",
    "rbench/py.typed",
    "rbench/report/templates/card.md",
    "rbench/report/site/templates/index.html",
    "rbench/report/site/templates/site.css",
    "rbench/report/site/templates/site.js",
    "rbench/share/model_zoo/digits/ews-digits.toml",
    "rbench/share/model_zoo/recipes/digits/ews-digits.toml",
    "rbench/share/model_zoo/weights/ews-digits.safetensors",
    "rbench/share/model_zoo/weights.lock",
    "rbench/share/suites/digits-linf.toml",
    "rbench/share/reports/digits-main.toml",
}
TOP = ("rbench/", "rbench-")


def main(wheel: str) -> None:
    """Fail with a sentence if something is missing or does not belong."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert names >= NEEDED, f"missing from the wheel: {sorted(NEEDED - names)}"
        strange = [name for name in names if not name.startswith(TOP) or "__pycache__" in name or "tests/" in name]
        assert not strange, f"these do not belong into the wheel: {strange}"
        with tempfile.TemporaryDirectory() as folder:
            archive.extractall(folder)
            command = [sys.executable, "-m", "rbench", "show", "ews-digits"]
            shown = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": folder},
                capture_output=True,
                text=True,
                check=True,
            )
            assert str(Path(folder) / "rbench" / "share") in shown.stdout, "the shelves in the wheel were not used"
    print(f"{len(names)} files, {Path(wheel).stat().st_size / 1e6:.1f} MB, works away from the checkout")


if __name__ == "__main__":
    main(sys.argv[1])

"""mypy --strict on the built wheel, which proves both the types and the packaging."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Builds, unpacks and checks; exits with mypy's own code."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "site"
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", scratch, str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        [wheel] = Path(scratch).glob("*.whl")
        unpack = [sys.executable, "-m", "zipfile", "--extract", str(wheel), str(target)]
        subprocess.run(unpack, check=True)
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml")]
        packages = ["-p", "scrutable.pipeline", "-p", "scrutable.evaluators"]
        environment = os.environ | {"MYPYPATH": str(target)}
        sys.exit(subprocess.run([*command, *packages], env=environment, cwd=scratch, check=False).returncode)


if __name__ == "__main__":
    main()

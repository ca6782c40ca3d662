"""TypeScript and esbuild, to check and to measure the web files. Nothing that is served needs them.

`python -m tests.support.web_tools` writes `static/types` anew.
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.gateway.peers import npm
from tests.benchmarks.gateway.peers.missing import Missing
from tests.support.process import REPOSITORY
from tests.support.services import missing

TYPES = REPOSITORY / "static" / "types"
_SOURCES = REPOSITORY / "tests" / "browser" / "tools"


def _tool(name: str) -> Path:
    """Install the locked tools if need be; fail, or with `REQUIRE_SERVICES=0` skip, without Node."""
    try:
        npm.node_version()
        return npm.install(_SOURCES, "web-tools") / "node_modules" / ".bin" / name
    except Missing as error:
        missing("Node with npm", error)


def declare(directory: Path) -> None:
    """Check the client's types, and write its declarations to a directory.

    Raises:
        AssertionError: with what the compiler found.

    """
    with tempfile.TemporaryDirectory() as scratch:
        command: Sequence[str | Path] = [_tool("tsc"), "--project", _SOURCES, "--outDir", scratch]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout
        shutil.copytree(Path(scratch) / "static", directory, dirs_exist_ok=True)


def bundled_size(*entries: str) -> int:
    """Return how many bytes these files of `static/`, and all that they import, have minified and gzipped."""
    text = "".join(f"export * from './{entry}';" for entry in entries)
    arguments: Sequence[str | Path] = [_tool("esbuild"), "--bundle", "--minify", "--format=esm", "--target=es2022"]
    built = subprocess.run(arguments, input=text.encode(), cwd=REPOSITORY / "static", capture_output=True, check=True)
    return len(gzip.compress(built.stdout, mtime=0))


if __name__ == "__main__":
    shutil.rmtree(TYPES, ignore_errors=True)
    declare(TYPES)

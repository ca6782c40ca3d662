"""What comes with the web files: types, the bell's manifest, and the tables of `docs/widget.md` made of that.

`python -m tests.support.widget_package` writes all three anew. It needs Node, as the tests do; the bell does not.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.gateway.peers import npm
from tests.benchmarks.gateway.peers.missing import Missing
from tests.support.process import REPOSITORY
from tests.support.services import missing

STATIC = REPOSITORY / "static"
TYPES = STATIC / "types"
MANIFEST = STATIC / "custom-elements.json"
GUIDE = REPOSITORY / "docs" / "widget.md"
PAGES = REPOSITORY / "tests" / "browser" / "frameworks"


def packages() -> Path:
    """Return where the locked packages of `PAGES` are; fail, or with `REQUIRE_SERVICES=0` skip, without Node."""
    try:
        npm.node_version()
        return npm.install(PAGES, "frameworks") / "node_modules"
    except Missing as error:
        missing("Node with npm", error)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a tool of the packages; returns what it prints.

    Raises:
        AssertionError: it failed; with what it printed.

    """
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_script(name: str, *arguments: str | Path) -> str:
    """Run a script of `PAGES` among its packages; returns what it prints."""
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / "pages"
        shutil.copytree(PAGES, home)
        (home / "node_modules").symlink_to(packages())
        return run("node", home / name, *arguments, cwd=home)


def declare(directory: Path) -> None:
    """Check the types of the web files, and write the declarations of those that are published to a directory.

    Raises:
        AssertionError: with what the compiler found.

    """
    with tempfile.TemporaryDirectory() as scratch:
        run(packages() / ".bin" / "tsc", "--project", PAGES, "--outDir", scratch, cwd=PAGES)
        demo = shutil.ignore_patterns("demo*")
        shutil.copytree(Path(scratch) / "static", directory, ignore=demo, dirs_exist_ok=True)


def analyze() -> str:
    """Return the custom-elements manifest as it should be: what a page uses, and nothing else."""
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(STATIC / "notification-bell.js", scratch)
        tool = packages() / ".bin" / "custom-elements-manifest"
        run(tool, "analyze", "--globs", "notification-bell.js", cwd=Path(scratch))
        manifest: dict[str, Any] = json.loads((Path(scratch) / "custom-elements.json").read_text())
    (bell,) = manifest["modules"][0]["declarations"]
    # The analyzer also lists what is private, and what the class sets on other elements.
    bell["members"] = [one for one in bell["members"] if "description" in one and not one["name"].startswith("#")]
    bell["events"] = [one for one in bell["events"] if "description" in one]
    return json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"


def tables(manifest: str) -> dict[str, str]:
    """Return the tables by the name of their place in the guide."""
    (bell,) = json.loads(manifest)["modules"][0]["declarations"]
    return {
        "attributes": _table("attribute", bell["attributes"], with_type=True),
        "properties": _table("property or method", bell["members"], with_type=False),
        "events": _table("event", bell["events"], with_type=False),
        "slots": _table("slot", bell["slots"], with_type=False),
        "parts": _table("part", bell["cssParts"], with_type=False),
        "custom properties": _table("custom property", bell["cssProperties"], with_type=False),
    }


def filled(guide: str, manifest: str) -> str:
    """Return the guide with its tables as they should be."""
    for name, table in tables(manifest).items():
        place = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert place.search(guide), f"docs/widget.md has no place for {name}"
        guide = place.sub(lambda found, table=table: f"{found[1]}{table}{found[2]}", guide)  # type: ignore[misc] # mypy cannot infer the lambda
    return guide


def _table(heading: str, rows: list[dict[str, Any]], *, with_type: bool) -> str:
    lines = [f"| {heading} | |", "| --- | --- |"]
    for row in rows:
        name = f"{row['name']}()" if row.get("kind") == "method" else row["name"]
        kind = row.get("type", {}).get("text", "")
        shown = f"`{name}`" + (f" ({kind.replace('|', ' or ')})" if with_type and kind not in ("", "string") else "")
        lines.append(f"| {shown} | {' '.join(row.get('description', '').split())} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    shutil.rmtree(TYPES, ignore_errors=True)
    declare(TYPES)
    MANIFEST.write_text(analyze())
    GUIDE.write_text(filled(GUIDE.read_text(), MANIFEST.read_text()))

"""Packages of npm, for peers that run on Node: at the versions of a lock file, in the user's cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.benchmarks.gateway.peers.missing import Missing

_PACKAGES = ("package.json", "package-lock.json")


def node_version() -> str:
    """Say which Node there is.

    Raises:
        Missing: there is no Node, or no npm.

    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise Missing("Node with npm", "apt-get install nodejs npm (Node 20 or newer)")
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def install(sources: Path, name: str) -> Path:
    """Install the packages locked in a folder, once per lock file; returns where `node_modules` is.

    Raises:
        Missing: npm could not; the message has what it said.

    """
    digest = hashlib.sha256((sources / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "bellwire" / f"{name}-{digest}"
    if not (home / "node_modules" / ".package-lock.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        for package in _PACKAGES:
            shutil.copy(sources / package, home)
        npm = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )
        if npm.returncode != 0:
            raise Missing(f"{name} (npm said: {npm.stderr.strip()[-500:]})", f"npm ci, in {home}")
    return home

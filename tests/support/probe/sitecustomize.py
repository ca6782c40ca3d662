"""Put on a process's `PYTHONPATH`, lets a test ask it what it holds; see `tests/support/usage.py`.

At SIGUSR1 the process collects its garbage and prints one line with its asyncio tasks, counted by what they run, and
its objects by type.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from collections import Counter


def _tell(*_: object) -> None:
    gc.collect()
    names = Counter(getattr(task.get_coro(), "__qualname__", "?") for task in asyncio.all_tasks())
    kinds = Counter(f"{type(thing).__module__}.{type(thing).__qualname__}" for thing in gc.get_objects())
    usage = {"tasks": dict(sorted(names.items())), "objects": dict(kinds.most_common())}
    print(f"usage {json.dumps(usage)}", file=sys.stderr, flush=True)


signal.signal(signal.SIGUSR1, _tell)

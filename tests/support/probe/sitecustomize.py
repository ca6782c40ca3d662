"""Put on a process's `PYTHONPATH`, lets a test ask it what it holds; see `tests/support/usage.py`.

At SIGUSR1 the process collects its garbage and prints one line with how many asyncio tasks it has.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys


def _tell(*_: object) -> None:
    gc.collect()
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:  # no loop runs yet, or any more
        tasks = 0
    print(f"usage tasks={tasks} objects={len(gc.get_objects())}.", file=sys.stderr, flush=True)


signal.signal(signal.SIGUSR1, _tell)

"""What is said when a peer is not there."""

from __future__ import annotations


class Missing(Exception):
    """Something that the benchmark compares with is not installed; the message says how to install it."""

    def __init__(self, what: str, how: str) -> None:
        super().__init__(f"{what} is missing; install it with: {how}")

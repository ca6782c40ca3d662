"""`bellwire`, with group commit taken away: every publish has a transaction, and a commit, of its own."""

from __future__ import annotations

from hub.cli import main
from hub.store import inbox

if __name__ == "__main__":
    inbox._MOST_PUBLICATIONS = 1
    main()

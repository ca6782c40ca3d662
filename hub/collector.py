"""How often Python looks for cycles of garbage, in processes that serve or work for weeks."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """Tell the garbage collector that what is here now stays, and to look less often.

    Nothing of a connection, or of a delivery, needs it: the few cycles are broken by hand. But every look goes through
    all that there is, the modules and tens of thousands of connections; that was an eighth of the CPU of a connect.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(25_000, 20, 50)

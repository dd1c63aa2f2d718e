"""How idle threads wait, said before torch is imported (this file does not import it)."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let threads that wait for one another sleep instead of spin, unless the user chose.

    Torch's threads meet at the end of every operation. Where another program has one of the cores,
    the others spin meanwhile and take its time: a MiniLM step took 190 to 210 ms with sleeping
    threads and 700 to 2,300 ms with spinning ones on two shared cores (docs/log.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("KMP_BLOCKTIME", "0")

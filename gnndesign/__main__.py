"""`python -m gnndesign`, the same as the command `gnndesign`."""

from __future__ import annotations

from gnndesign.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

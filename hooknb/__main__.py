"""``python -m hooknb`` is the command ``hooknb``."""

from __future__ import annotations

from hooknb.cli import main

if __name__ == "__main__":
    main()

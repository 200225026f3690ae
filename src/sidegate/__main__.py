"""Lets `python -m sidegate` be the same as `sidegate`."""

from __future__ import annotations

from sidegate.cli.main import main

if __name__ == "__main__":
    main()

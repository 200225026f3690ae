"""What the client tests found, as JSON; `scripts/write_clients_table.py` makes the document of it."""

from __future__ import annotations

import json
from typing import Any

from clients import Client


class ClientReport:
    """One entry per client and capability; an entry that a test began and did not end has failed."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[str, Any]] = {}

    def _entry(self, client: Client) -> dict[str, Any]:
        return self._clients.setdefault(client.name, {"versions": [], "cells": {}})

    def cell(self, client: Client, capability: str) -> dict[str, Any]:
        """Begin an entry; the test updates it when it knows better."""
        cell: dict[str, Any] = {"outcome": "failed", "message": None}
        self._entry(client)["cells"][capability] = cell
        return cell

    def versions(self, client: Client, versions: list[str]) -> None:
        """Note what ran."""
        self._entry(client)["versions"] = versions

    def render(self) -> str:
        """Return the report."""
        return json.dumps(self._clients, indent=1, ensure_ascii=False) + "\n"

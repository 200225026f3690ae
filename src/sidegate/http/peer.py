"""Who is at the other end of a connection, in words."""

from __future__ import annotations


def render_address(address: object) -> str:
    """Return an address of a socket as host:port."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(address or "")

"""Sequences: what was written into a staging since a reader last looked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the counters and the index that finds the newest rows."""
    for table in ("stagings", "staged"):
        op.add_column(table, sa.Column("sequence", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index(op.f("ix_staged_staging_sequence"), "staged", ["staging", "sequence"], unique=False)

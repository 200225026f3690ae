"""Index rows are gathered before they are sorted in; sequences, which nobody reads, go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table that is only appended to; drop the counters and their index."""
    op.create_table(
        "fresh_chunks",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pack", sa.Integer(), nullable=False),
        sa.Column("records", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["pack"], ["packs.id"], name=op.f("fk_fresh_chunks_pack")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fresh_chunks")),
        sqlite_autoincrement=True,
    )
    op.drop_index(op.f("ix_staged_staging_sequence"), table_name="staged")
    for table in ("stagings", "staged"):
        op.drop_column(table, "sequence")

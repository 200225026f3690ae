"""The index of chunks by pack: new rows go to its end."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Replace the index on the pack by one on the place in it."""
    op.drop_index(op.f("ix_chunks_pack"), table_name="chunks")
    op.create_index(op.f("ix_chunks_pack_offset"), "chunks", ["pack", "offset"], unique=False)

"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("pipeline", sa.String(length=63), nullable=False),
        sa.Column("pipeline_version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("output", sa.JSON(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("stop_requested", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=True),
        sa.Column("finished_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_pipeline"), "jobs", ["pipeline"], unique=False)
    op.create_table(
        "packs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packs")),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "pipelines",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_pipelines")),
    )
    op.create_table(
        "repos",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_repos")),
    )
    op.create_table(
        "stagings",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("repo", sa.String(length=63), nullable=False),
        sa.Column("branch", sa.String(length=63), nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("touched_us", sa.BigInteger(), nullable=False),
        sa.Column("open_key", sa.String(length=127), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stagings")),
        sa.UniqueConstraint("open_key"),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("scope", sa.String(length=127), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_scope_path"), "uploads", ["scope", "path"], unique=False)
    op.create_table(
        "branches",
        sa.Column("repo", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("head", sa.String(length=32), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repo"], ["repos.name"], name=op.f("fk_branches_repo")),
        sa.PrimaryKeyConstraint("repo", "name", name=op.f("pk_branches")),
    )
    op.create_table(
        "chunks",
        sa.Column("id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("pack", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("stored_bytes", sa.Integer(), nullable=False),
        sa.Column("plain_bytes", sa.Integer(), nullable=False),
        sa.Column("encoding", sa.Integer(), nullable=False),
        sa.Column("condemned_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["pack"], ["packs.id"], name=op.f("fk_chunks_pack")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chunks")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_chunks_pack"), "chunks", ["pack"], unique=False)
    op.create_table(
        "commits",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("repo", sa.String(length=63), nullable=False),
        sa.Column("branch", sa.String(length=63), nullable=False),
        sa.Column("parent", sa.String(length=32), nullable=True),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("commit_set", sa.String(length=32), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("finished_us", sa.BigInteger(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["repo"], ["repos.name"], name=op.f("fk_commits_repo")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commits")),
    )
    op.create_index(op.f("ix_commits_commit_set"), "commits", ["commit_set"], unique=False)
    op.create_index(op.f("ix_commits_repo_branch"), "commits", ["repo", "branch"], unique=False)
    op.create_table(
        "parts",
        sa.Column("upload", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["upload"], ["uploads.id"], name=op.f("fk_parts_upload")),
        sa.PrimaryKeyConstraint("upload", "number", name=op.f("pk_parts")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "staged",
        sa.Column("staging", sa.String(length=32), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["staging"], ["stagings.id"], name=op.f("fk_staged_staging")),
        sa.PrimaryKeyConstraint("staging", "path", name=op.f("pk_staged")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "provenance",
        sa.Column("commit", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("repo", sa.String(length=63), nullable=False),
        sa.Column("branch", sa.String(length=63), nullable=False),
        sa.Column("input_commit", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(["commit"], ["commits.id"], name=op.f("fk_provenance_commit")),
        sa.ForeignKeyConstraint(["input_commit"], ["commits.id"], name=op.f("fk_provenance_input_commit")),
        sa.PrimaryKeyConstraint("commit", "name", name=op.f("pk_provenance")),
    )
    op.create_index(op.f("ix_provenance_input_commit"), "provenance", ["input_commit"], unique=False)

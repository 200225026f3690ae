"""The catalog's tables: all that is mutable in a store.

Times are microseconds since the epoch.  Paths are UTF-8 bytes, because bytes
compare the same way in SQLite and PostgreSQL and text does not.  A change here
needs a migration in `migrations/versions`.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

REPOS = Table(
    "repos",
    METADATA,
    Column("name", String(63), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("description", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

BRANCHES = Table(
    "branches",
    METADATA,
    Column("repo", String(63), ForeignKey("repos.name"), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("head", String(32)),
    Column("created_us", BigInteger, nullable=False),
)

COMMITS = Table(
    "commits",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("repo", String(63), ForeignKey("repos.name"), nullable=False),
    Column("branch", String(63), nullable=False),
    Column("parent", String(32)),
    Column("root", LargeBinary(32), nullable=False),
    Column("commit_set", String(32), nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("file_count", BigInteger, nullable=False),
    Index(None, "repo", "branch"),
)

PROVENANCE = Table(
    "provenance",
    METADATA,
    Column("commit", String(32), ForeignKey("commits.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("repo", String(63), nullable=False),
    Column("branch", String(63), nullable=False),
    Column("input_commit", String(32), ForeignKey("commits.id"), nullable=False, index=True),
)

STAGINGS = Table(
    "stagings",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("purpose", String(16), nullable=False),
    Column("repo", String(63), nullable=False),
    Column("branch", String(63), nullable=False),
    Column("held", Boolean, nullable=False),
    Column("description", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("touched_us", BigInteger, nullable=False),
    Column("open_key", String(127), unique=True),
)
"""`open_key` is `repo@branch` for a branch's open commit, so there is only one."""

STAGED = Table(
    "staged",
    METADATA,
    Column("staging", String(32), ForeignKey("stagings.id"), primary_key=True),
    Column("path", LargeBinary, primary_key=True),
    Column("record", LargeBinary),
    sqlite_with_rowid=False,
)
"""`record` is NULL where the path was removed."""

UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("scope", String(127), nullable=False),
    Column("path", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("details", JSON, nullable=False),
    Column("result", JSON(none_as_null=True)),
    Index(None, "scope", "path"),
)
"""`scope` is a staging id, or `repo@branch`; `result` is set once completed."""

PARTS = Table(
    "parts",
    METADATA,
    Column("upload", String(32), ForeignKey("uploads.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("record", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

PACKS = Table(
    "packs",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(32), nullable=False, unique=True),
    Column("sealed", Boolean, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

CHUNKS = Table(
    "chunks",
    METADATA,
    Column("id", LargeBinary(32), primary_key=True),
    Column("pack", Integer, ForeignKey("packs.id"), nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("stored_bytes", Integer, nullable=False),
    Column("plain_bytes", Integer, nullable=False),
    Column("encoding", Integer, nullable=False),
    Column("condemned_us", BigInteger),
    # By offset too, so that new rows go to the end of it: on `pack` alone they are spread over
    # all rows of the pack by id, 25 us a row instead of 1 (SQLite, 40 000 rows, Zen 4, 2026-11).
    Index(None, "pack", "offset"),
    sqlite_with_rowid=False,
)
"""`condemned_us`: a collection found no reference then; a later one deletes it.
A writer treats a condemned chunk as absent and stores it anew."""

FRESH_CHUNKS = Table(
    "fresh_chunks",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("pack", Integer, ForeignKey("packs.id"), nullable=False),
    Column("records", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)
"""What one transaction put into one pack, and is not in `chunks` yet.  Ids only grow: who
knows all up to one reads what is above it."""

PIPELINES = Table(
    "pipelines",
    METADATA,
    Column("name", String(63), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("pipeline", String(63), nullable=False, index=True),
    Column("pipeline_version", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text),
    Column("attempts", Integer, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("output", JSON(none_as_null=True)),
    Column("details", JSON, nullable=False),
    Column("stop_requested", Boolean, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("started_us", BigInteger),
    Column("finished_us", BigInteger),
)
"""`details` holds what was run (arguments, script hashes, environment)."""

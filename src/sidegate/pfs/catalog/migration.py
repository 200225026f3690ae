"""Bringing a catalog to this release's schema.

Alembic is imported only when there is something to migrate: a store that is up
to date is opened without it, which halves the start of every command.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text

from sidegate.errors import Unsupported

HEAD_REVISION = "0004"
_VERSION_TABLE = "alembic_version"


def migrate(engine: Engine) -> None:
    """Bring the catalog to this release's schema; raises Unsupported for a newer one.

    All of it happens or nothing, once, however many processes open the store.
    """
    with engine.connect() as connection:
        if _is_current(connection):
            return
        # Alembic begins none: it takes SQLite's changes of schema for what no transaction holds.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if not _is_current(connection):  # another process may have come first
            _upgrade(connection)
        connection.commit()


def _is_current(connection: Connection) -> bool:
    current = _current_revision(connection)
    if current is not None and current > HEAD_REVISION:
        raise Unsupported(
            f"the store's catalog has schema {current}, this release knows {HEAD_REVISION}",
            remedy="upgrade sidegate",
        )
    return current == HEAD_REVISION


def _current_revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    revision: str | None = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()
    return revision


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", "sidegate.pfs.catalog:migrations")
    configuration.set_main_option("path_separator", "os")
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, HEAD_REVISION)

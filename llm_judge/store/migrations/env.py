"""Run by Alembic to migrate the connection that ``store.schema`` hands it, in that one's transaction."""

from __future__ import annotations

from alembic import context

from llm_judge.store.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()

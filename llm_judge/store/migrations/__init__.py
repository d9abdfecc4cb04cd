"""How the tables came to be, one step a file, for Alembic; a step that was released is never edited."""

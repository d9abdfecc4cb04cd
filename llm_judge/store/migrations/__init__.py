"""What Alembic runs to change the tables."""

"""What Alembic runs: the migrations, on the connection that `Database.migrate` hands over."""

from alembic import context

from fromnoise.jobs.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()

"""What Alembic runs: the migrations, on the connection that `Database.migrate` hands over."""

from alembic import context

from fromnoise.jobs.tables import METADATA


def run() -> None:
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
    context.run_migrations()


if __name__ == "env_py":  # the name that Alembic gives it
    run()

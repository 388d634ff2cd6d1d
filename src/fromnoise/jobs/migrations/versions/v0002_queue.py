"""The queue."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("lease", sa.Float, nullable=False),
        sa.Column("draining", sa.Boolean, nullable=False),
        sa.Column("info", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("group", sa.Text),
        sa.Column("affinity", sa.Text),
        sa.Column("cost", sa.Float, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.Column("turn", sa.Float, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("wish", sa.Text),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("queued", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("finished", sa.Float),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer, nullable=False),
        sa.Column("kept", sa.Integer, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("file", sa.Text),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.ForeignKeyConstraint(["worker"], ["workers.id"], name="fk_jobs_worker"),
        sa.UniqueConstraint("owner", "key", name="uq_jobs_owner"),
        sa.UniqueConstraint("file", name="uq_jobs_file"),
    )
    op.create_index("ix_jobs_group", "jobs", ["group"])
    op.create_index("ix_jobs_worker", "jobs", ["worker"])
    op.create_index("ix_jobs_line", "jobs", ["state", "priority", "turn", "id"])
    op.create_index("ix_jobs_owner", "jobs", ["owner", "state", "id"])
    op.create_table(
        "events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("time", sa.Float, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_events_job", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_job", "events", ["job", "number"])
    op.create_table(
        "results",
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("sha256", sa.Text),
        sa.Column("media", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("job", "number", name="pk_results"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_results_job", ondelete="CASCADE"),
    )
    op.create_table(
        "previews",
        sa.Column("job", sa.Text, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("image", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("job", name="pk_previews"),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_previews_job", ondelete="CASCADE"),
    )
    line = op.create_table(
        "line",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("turn", sa.Float, nullable=False),
        sa.Column("held", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_line"),
    )
    op.bulk_insert(line, [{"id": 1, "turn": 0.0, "held": False}])
    op.create_table(
        "taken",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("ends", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("owner", "priority", name="pk_taken"),
    )

"""The index of model files."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "files",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("tensors", sa.Text),
        sa.Column("old", sa.Text),
        sa.Column("facts", sa.JSON),
        sa.Column("fault", sa.Text),
        sa.Column("source", sa.JSON),
        sa.PrimaryKeyConstraint("path", name="pk_files"),
    )
    for column in ("sha256", "tensors", "old"):
        op.create_index(f"ix_files_{column}", "files", [column])
    op.create_table(
        "shelved",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_shelved"),
        sa.ForeignKeyConstraint(["path"], ["files.path"], name="fk_shelved_path", ondelete="CASCADE"),
        sa.UniqueConstraint("kind", "place", name="uq_shelved_kind"),
    )
    op.create_index("ix_shelved_path", "shelved", ["path"])

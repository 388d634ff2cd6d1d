"""What is on the shelves is told by the shelves: different services may have different ones."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.drop_table("shelved")

"""Jobs that are asked to tell how their picture comes about."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("trace", sa.Boolean, nullable=False, server_default=sa.false()))

"""The gallery."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "pictures",
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("root", sa.Text, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("job", sa.Text),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("media", sa.Text, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("recipe", sa.JSON),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("model_hash", sa.Text, nullable=False),
        sa.Column("sampler", sa.Text, nullable=False),
        sa.Column("seed", sa.Text, nullable=False),
        sa.Column("favourite", sa.Boolean, nullable=False),
        sa.Column("album", sa.Text, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("deleted", sa.Float),
        sa.PrimaryKeyConstraint("number", name="pk_pictures"),
        sa.UniqueConstraint("id", name="uq_pictures_id"),
        sa.UniqueConstraint("root", "path", name="uq_pictures_root"),
        sqlite_autoincrement=True,
    )
    for column in ("job", "sha256", "parent", "created"):
        op.create_index(f"ix_pictures_{column}", "pictures", [column])
    op.create_index("ix_pictures_owner", "pictures", ["owner", "number"])
    op.create_table(
        "marks",
        sa.Column("picture", NUMBER, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("picture", "kind", "name", name="pk_marks"),
        sa.ForeignKeyConstraint(["picture"], ["pictures.number"], name="fk_marks_picture", ondelete="CASCADE"),
    )
    op.create_index("ix_marks_kind", "marks", ["kind", "name"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute('CREATE VIRTUAL TABLE picture_words USING fts5(words, tokenize="unicode61 remove_diacritics 2")')
    else:
        op.execute(
            "CREATE TABLE picture_words (picture bigint PRIMARY KEY REFERENCES pictures(number) ON DELETE CASCADE,"
            " words tsvector NOT NULL)"
        )
        op.execute("CREATE INDEX ix_picture_words ON picture_words USING gin(words)")

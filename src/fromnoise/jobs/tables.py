"""What is in the database. A change here needs a migration; a test compares the two.

Times are seconds since 1970. Texts that people wrote are Unicode without NUL, which PostgreSQL does not store.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)  # fmt: skip

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

VERSION = Table("alembic_version", MetaData(), Column("version_num", Text))  # Alembic's own

FILES = Table(  # the index of model files: what is known of each file while it keeps its size and time of change
    "files",
    METADATA,
    Column("path", Text, primary_key=True),  # absolute, links followed
    Column("size", BigInteger, nullable=False),  # bytes
    Column("changed", BigInteger, nullable=False),  # ns since 1970
    Column("sha256", Text, index=True),  # hexadecimal; NULL until the file was read
    Column("tensors", Text, index=True),  # SHA-256 of what follows the header of a safetensors file
    Column("old", Text, index=True),  # eight digits, of AUTOMATIC1111 before 2023
    Column("facts", JSON(none_as_null=True)),  # what it holds: index.Facts
    Column("fault", Text),  # why it can't be read
    Column("source", JSON(none_as_null=True)),  # where it was downloaded from: index.Source
)

SHELVED = Table(  # what lies on the shelves, in their order, by kind
    "shelved",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False),  # its path below the shelf
    Column("place", Text, nullable=False),  # its path as it was found
    Column("position", Integer, nullable=False),
    Column("path", Text, ForeignKey(FILES.c.path, ondelete="CASCADE"), nullable=False),
    UniqueConstraint("kind", "place"),
    Index("ix_shelved_path", "path"),
)

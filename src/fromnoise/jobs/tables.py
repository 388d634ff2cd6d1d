"""What is in the database. A change here needs a migration; a test compares the two.

Times are seconds since 1970. Texts that people wrote are Unicode without NUL, which PostgreSQL does not store.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
)

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

WORKERS = Table(  # processes that have taken, or may take, jobs
    "workers",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Float, nullable=False),
    Column("lease", Float, nullable=False),  # until when it is believed to be alive
    Column("draining", Boolean, nullable=False),  # takes no more
    Column("info", JSON(none_as_null=True)),  # the device's name and memory, the models it holds
)

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("body", JSON, nullable=False),
    Column("owner", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("key", Text),
    Column("group", Text, index=True),
    Column("affinity", Text),
    Column("cost", Float, nullable=False),
    Column("folder", Text, nullable=False),
    Column("trace", Boolean, nullable=False, server_default=false()),  # tells how its picture comes about
    Column("member", JSON(none_as_null=True)),  # its place among those that were asked for together: job.Member
    Column("turn", Float, nullable=False),  # its place in the line, among those of the same priority
    Column("state", Text, nullable=False),
    Column("wish", Text),
    Column("created", Float, nullable=False),
    Column("queued", Float, nullable=False),
    Column("started", Float),
    Column("finished", Float),
    Column("attempts", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("step", Integer, nullable=False),
    Column("steps", Integer, nullable=False),
    Column("kept", Integer, nullable=False),
    Column("worker", Text, ForeignKey(WORKERS.c.id), index=True),
    Column("file", Text, unique=True),
    Column("error", Text),
    Column("remarks", JSON(none_as_null=True)),  # sentences, in their order
    UniqueConstraint("owner", "key"),
    Index("ix_jobs_line", "state", "priority", "turn", "id"),
    Index("ix_jobs_owner", "owner", "state", "id"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("job", Text, ForeignKey(JOBS.c.id, ondelete="CASCADE"), nullable=False),
    Column("owner", Text, nullable=False),
    Column("time", Float, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Index("ix_events_job", "job", "number"),
    sqlite_autoincrement=True,  # a number is never used again: listeners remember the last one they saw
)

RESULTS = Table(
    "results",
    METADATA,
    Column("job", Text, ForeignKey(JOBS.c.id, ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("path", Text),
    Column("sha256", Text, index=True),
    Column("media", Text, nullable=False),
    Column("data", JSON, nullable=False),
)

PREVIEWS = Table(  # what a picture under way looks like, the newest only
    "previews",
    METADATA,
    Column("job", Text, ForeignKey(JOBS.c.id, ondelete="CASCADE"), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("image", LargeBinary, nullable=False),  # a small JPEG
)

LINE = Table(  # of which there is one row
    "line",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("turn", Float, nullable=False),  # of the job that was taken last
    Column("held", Boolean, nullable=False),  # nothing is taken
)

TAKEN = Table(  # the last job that was taken of each owner
    "taken",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("priority", Integer, primary_key=True),
    Column("ends", Float, nullable=False),  # its turn and its cost
)

PICTURES = Table(
    "pictures",
    METADATA,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),  # grows
    Column("id", Text, nullable=False, unique=True),
    Column("root", Text, nullable=False),  # the folder that `path` is below; empty for that of outputs
    Column("path", Text, nullable=False),  # with slashes
    Column("owner", Text, nullable=False),
    Column("job", Text, index=True),
    Column("created", Float, nullable=False),
    Column("size", BigInteger, nullable=False),  # bytes
    Column("changed", BigInteger, nullable=False),  # ns since 1970
    Column("sha256", Text, nullable=False, index=True),
    Column("media", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("source", Text, nullable=False),  # the tool that made it; empty where nothing is known
    Column("recipe", JSON(none_as_null=True)),
    Column("model", Text, nullable=False),
    Column("model_hash", Text, nullable=False),
    Column("sampler", Text, nullable=False),
    Column("seed", Text, nullable=False),  # as large as 2^64 - 1
    Column("favourite", Boolean, nullable=False),
    Column("album", Text, nullable=False),
    Column("parent", Text, index=True),  # the id of the picture that it was made from
    Column("deleted", Float),  # since when it lies in the bin
    UniqueConstraint("root", "path"),
    Index("ix_pictures_owner", "owner", "number"),
    Index("ix_pictures_created", "created"),
    sqlite_autoincrement=True,
)

MARKS = Table(  # what there may be several of
    "marks",
    METADATA,
    Column(
        "picture",
        BigInteger().with_variant(Integer, "sqlite"),
        ForeignKey(PICTURES.c.number, ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("kind", Text, primary_key=True),  # tag, lora
    Column("name", Text, primary_key=True),
    Index("ix_marks_kind", "kind", "name"),
)

USERS = Table(
    "users",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),  # user, admin
    Column("password", Text, nullable=False),  # argon2 hash
    Column("created", Float, nullable=False),
    Column("pictures_a_day", Integer),  # NULL: no limit
    Column("bytes", BigInteger),  # that a user's pictures may have; NULL: no limit
)

TOKENS = Table(  # what users show instead of their passwords: programs for long, browsers after they logged in
    "tokens",
    METADATA,
    Column("digest", Text, primary_key=True),  # SHA-256
    Column("user", Text, ForeignKey(USERS.c.name, ondelete="CASCADE"), nullable=False),
    Column("label", Text, nullable=False),
    Column("session", Boolean, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),  # NULL: never
    Index("ix_tokens_user", "user"),
)

PREFERENCES = Table(  # what people chose for themselves, and, without an owner, what holds for the service
    "preferences",
    METADATA,
    Column("owner", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)

WORDS = "picture_words"  # what is searched: an FTS5 table whose rowid is a picture's number; in PostgreSQL a tsvector

"""What people chose for themselves, and what was chosen for the service: small JSON values by owner and name."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, insert, select

from fromnoise.errors import UserError
from fromnoise.jobs.database import Database
from fromnoise.jobs.tables import PREFERENCES

SERVICE = ""  # the owner of what holds for all
LARGEST = 256_000  # characters of JSON


@dataclass(frozen=True)
class Preferences:
    """The table `preferences`."""

    database: Database

    def get(self, owner: str, name: str) -> Any:
        """The value; None where there is none."""
        query = select(PREFERENCES.c.value).where(PREFERENCES.c.owner == owner, PREFERENCES.c.name == name)
        with self.database.reading() as connection:
            return connection.execute(query).scalar()

    def set(self, owner: str, name: str, value: Any) -> None:
        """Keep a value. UserError for what is too large, or can't be stored."""
        text = json.dumps(value)
        if len(text) > LARGEST or "\\u0000" in text:
            raise UserError(f"preferences have at most {LARGEST:,} characters, and no NUL among them")
        with self.database.writing() as connection:
            connection.execute(delete(PREFERENCES).where(PREFERENCES.c.owner == owner, PREFERENCES.c.name == name))
            connection.execute(insert(PREFERENCES).values(owner=owner, name=name, value=value))

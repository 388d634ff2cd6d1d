"""Terms of use: shown to every user, and accepted where an operator wants that."""

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.jobs.options import Options
from fromnoise.jobs.preferences import Preferences
from fromnoise.server.context import Here, Who
from fromnoise.server.errors import ApiError
from fromnoise.server.native.orders import TERMS, has_accepted
from fromnoise.server.parts import new_part

router = new_part()


class TermsView(BaseModel):
    """Terms of use."""

    text: str
    digest: str | None = Field(description="What is accepted; none where nothing has to be.")
    accepted: bool = Field(description="Whether whoever asks may ask for work.")


class Acceptance(BaseModel):
    """Somebody accepts the terms."""

    model_config = ConfigDict(extra="forbid")

    digest: str = Field(max_length=64, description="Of the terms that were read.")


@router.get("/terms")
def get_terms(here: Here, who: Who) -> TermsView:
    """The operator's terms of use."""
    options = Options.load(here.queue.database)
    return TermsView(text=options.terms, digest=options.terms_digest, accepted=has_accepted(here.queue, who.name))


@router.post("/terms")
def accept_terms(wanted: Acceptance, here: Here, who: Who) -> TermsView:
    """Accept them; 409 where they are other ones by now."""
    digest = Options.load(here.queue.database).terms_digest
    if digest is None or wanted.digest != digest:
        raise ApiError(409, "state", "the terms are other ones by now: read them again")
    Preferences(here.queue.database).set(who.name, TERMS, {"accepted": digest})
    return get_terms(here, who)

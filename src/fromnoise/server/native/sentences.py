"""What the server tells in English, in Chinese: for pages that show its errors and warnings in both languages."""

from fastapi import Response

from fromnoise.server.context import Here
from fromnoise.server.parts import new_part

router = new_part()
AN_HOUR = "private, max-age=3600"


@router.get("/sentences")
def list_sentences(here: Here, response: Response) -> dict[str, str]:
    """Sentences with {names} of what stands there, and their Chinese; the first that fits is the one.

    Whoever is still to say who they are may read them: that they failed to is told in such a sentence.
    """
    response.headers["Cache-Control"] = AN_HOUR
    return dict(here.chinese())

"""How a text encoder will see a prompt: its tokens, chunk by chunk."""

from pydantic import BaseModel, ConfigDict, Field

from fromnoise.assets.vocabulary import END_OF_WORD
from fromnoise.engine.profiles import PROFILES
from fromnoise.server.context import Here, Who
from fromnoise.server.parts import new_part
from fromnoise.text.chunks import SIZE, Chunk, chunk_pieces, count_tokens
from fromnoise.text.prompt import parse
from fromnoise.text.tokenizer import Tokenizer

LONGEST = 100_000  # characters
MOST_SHOWN = 2000  # tokens

router = new_part()


class PromptText(BaseModel):
    """A prompt to be counted."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=LONGEST)
    profile: str = Field(default="native", description="Whose prompt language it is in.")
    step: int = Field(default=0, ge=0, le=10_000, description="Prompts with [a:b:0.5] change: the step that counts.")
    steps: int = Field(default=20, ge=1, le=10_000)


class TokenView(BaseModel):
    """One token."""

    text: str
    id: int
    weight: float
    ends_word: bool


class ChunkView(BaseModel):
    """75 tokens at most, which are encoded together."""

    used: int
    room: int
    tokens: list[TokenView]


class NetworkTag(BaseModel):
    """A LoRA or hypernetwork that the prompt names."""

    kind: str
    name: str


class WarningView(BaseModel):
    """Something in the prompt that was read as text."""

    position: int = Field(description="In characters from 0.")
    message: str


class TokensView(BaseModel):
    """A prompt as the text encoder will see it, at one step."""

    count: int = Field(description="Of the longest part; chunks that others follow count as full.")
    room: int = Field(description="75 for each chunk.")
    parts: list[list[ChunkView]] = Field(description="The chunks of each part between ANDs.")
    networks: list[NetworkTag]
    warnings: list[WarningView]


@router.post("/tokens")
def count_prompt_tokens(wanted: PromptText, here: Here, who: Who) -> TokensView:
    """Tokens of a prompt by chunk, what it names, and what in it looks like a mistake."""
    profile = PROFILES[wanted.profile]
    prompt = parse(wanted.text, profile.dialect)
    embeddings = {
        entry.name.rpartition(".")[0] or entry.name: 1 for entry in here.index.entries(here.settings, "embeddings")
    }
    tokenizer = Tokenizer()
    step = min(wanted.step, wanted.steps - 1)
    parts = [chunk_pieces(sub.pieces, tokenizer, profile.dialect, embeddings) for sub in prompt.at(step, wanted.steps)]
    counts = [count_tokens(chunks) for chunks in parts]
    count, room = max(counts, default=(0, SIZE))
    return TokensView(
        count=count,
        room=room,
        parts=[[seen(chunk, tokenizer) for chunk in chunks[: MOST_SHOWN // SIZE]] for chunks in parts],
        networks=[NetworkTag(kind=str(network.kind), name=network.name) for network in prompt.networks],
        warnings=[WarningView(position=warning.position, message=warning.message) for warning in prompt.warnings],
    )


def seen(chunk: Chunk, tokenizer: Tokenizer) -> ChunkView:
    """A chunk without its ends and padding."""
    tokens = []
    for place in range(1, chunk.used + 1):
        vector = chunk.vectors.get(place)
        spelled = tokenizer.token(chunk.ids[place])
        text = f"<{vector.name}>" if vector else tokenizer.decode([chunk.ids[place]])
        tokens.append(TokenView(text=text, id=chunk.ids[place], weight=chunk.weights[place],
                                ends_word=vector is not None or spelled.endswith(END_OF_WORD)))  # fmt: skip
    return ChunkView(used=chunk.used, room=SIZE, tokens=tokens)

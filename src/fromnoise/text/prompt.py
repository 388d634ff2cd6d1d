"""The prompt language."""

from fromnoise.text.prompt_weights import BREAK, Dialect, Piece, PromptWarning, parse_weights

__all__ = ["BREAK", "Dialect", "Piece", "PromptWarning", "parse_weights"]

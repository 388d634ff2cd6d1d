"""Checkpoint files: read them safely, see what they are, load them, write them."""

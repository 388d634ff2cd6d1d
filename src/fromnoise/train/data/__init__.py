"""Data sets of pictures with captions: where they are, how large they are made, what is said of them at each step."""

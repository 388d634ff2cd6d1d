"""A recipe as text inside a picture: written for us and for other tools, read from theirs.

`read.py` finds out which tool made a picture; each other file knows one tool's format. What is read was written by
strangers: it is bounded in size, never evaluated, and never names a file that is then opened.
"""

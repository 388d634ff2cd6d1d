"""What lasts: the queue of jobs, the gallery of pictures and the index of model files, in one database.

`database.py` opens it (SQLite, or PostgreSQL by URL), `tables.py` says what is in it, `migrations/` brings an old one
up to date. Nothing here imports torch but `worker.py` and `scan.py`, which run as processes of their own.
"""

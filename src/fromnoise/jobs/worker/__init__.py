"""A worker process: `python -m fromnoise.jobs.worker`, one per device, started by `supervisor.py`.

It is told its station in a line of JSON on its standard input, which it then watches: `drain` is the word to stop, and
when the other end closes, whoever started it is gone and it ends at once. All else goes through the database.
"""

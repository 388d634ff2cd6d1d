"""One contender at work, in a process of its own: `python -m bench.contender NAME JOB`, started by `bench.turns`."""

import json
import sys
from functools import partial

from bench.contenders import CONTENDERS
from bench.turns import serve
from bench.work import Job

if __name__ == "__main__":
    name, job = sys.argv[1:]
    serve(partial(CONTENDERS[name].prepare, Job(**json.loads(job))))

"""One contender at work, in a process of its own: `python -m bench.contender NAME JOB`, started by `bench.turns`."""

import json
import sys
from functools import partial

import torch

from bench.contenders import CONTENDERS
from bench.devices import Device
from bench.turns import serve
from bench.work import Job

if __name__ == "__main__":
    name, told = sys.argv[1:]
    job = Job(**json.loads(told))
    if job.threads:
        torch.set_num_threads(job.threads)
    serve(partial(CONTENDERS[name].prepare, job), Device(job.device))

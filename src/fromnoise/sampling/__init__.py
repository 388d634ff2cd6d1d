"""From noise to clean latents: schedules choose noise levels, samplers walk them, guidance asks the network.

Start reading at `samplers.py`, then `guidance.py`. Importing this package registers all built-in samplers and
schedules.
"""

from fromnoise.sampling import cfg_pp as cfg_pp
from fromnoise.sampling import dpm_solver as dpm_solver
from fromnoise.sampling import multistep as multistep
from fromnoise.sampling import sa_solver as sa_solver
from fromnoise.sampling import samplers as samplers
from fromnoise.sampling import sde as sde
from fromnoise.sampling import seeds as seeds
from fromnoise.sampling import singlestep as singlestep
from fromnoise.sampling import tuned_schedules as tuned_schedules
from fromnoise.sampling import unipc as unipc

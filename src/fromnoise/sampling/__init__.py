"""From noise to clean latents: schedules choose noise levels, samplers walk them, guidance asks the network.

Start reading at `samplers.py`, then `guidance.py`. Importing this package registers every built-in sampler.
"""

from fromnoise.sampling import samplers as samplers

"""What changes a network for some pictures and leaves no trace; one kind in a file.

Importing this package registers the built-in kinds of LoRA in `weight_adapter.KINDS`.
"""

from fromnoise.adapters import full as full
from fromnoise.adapters import glora as glora
from fromnoise.adapters import ia3 as ia3
from fromnoise.adapters import loha as loha
from fromnoise.adapters import lokr as lokr
from fromnoise.adapters import lora as lora
from fromnoise.adapters import oft as oft
from fromnoise.adapters import tlora as tlora

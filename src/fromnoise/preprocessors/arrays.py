"""NumPy, imported when a preprocessor first works on a picture: who only lists them, as a server does, needs none."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture: TypeAlias = NDArray[np.uint8]  # (h w 3) RGB; (h w 4) where a mask comes along: 255 is to be painted anew
else:

    class Late:
        """A module that is imported when something of it is asked for."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:
            return getattr(import_module(self._name), name)

    np = Late("numpy")
    Picture = NDArray = Any

__all__ = ["NDArray", "Picture", "np"]

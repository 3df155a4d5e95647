"""The one decorator of all compiled kernels.

What holds for every kernel is decided here: it is kept on disk, in a folder that can be written; it releases the GIL,
since an embedded engine runs functions as threads of one process; it does not check bounds; it raises what Python would
(``error_model``).

A first run waits for compilers, so kernels are written to compile quickly. Memory is allocated by NumPy, outside:
``np.zeros`` in a kernel compiles as long as a loop. Arrays are copied by loops: ``a[:] = b`` compiles a second of
code for the text of its error. A kernel is compiled for each combination of its arguments' types: callers hand over
contiguous arrays of one dtype, and by :func:`read_only` what may or may not be Arrow's memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base import compile_cache

compile_cache.settle(Path(__file__).parent)

from numba import njit  # noqa: E402  what it reads from the environment has just been settled

Number = TypeVar("Number", bound=np.generic)


def compiled(
    function: Callable[..., Any] | None = None, *, inline: Literal["never", "always"] = "never", fastmath: bool = False
) -> Any:
    """Compile a function when it is first called, for the types of its arguments.

    Parameters
    ----------
    function : callable
    inline : {"never", "always"}
        Always: it becomes a part of whoever calls it, before types are known. Quicker to compile where a function is
        small or called from one place; its ``fastmath`` would be lost.
    fastmath : bool
        Let sums be taken in any order, so that they are vectorised. Only where every order gives the same.
    """
    decorate: Any = njit(
        cache=True, nogil=True, boundscheck=False, error_model="python", inline=inline, fastmath=fastmath
    )
    return decorate if function is None else decorate(function)


def read_only(values: NDArray[Number]) -> NDArray[Number]:
    """Return a contiguous view that cannot be written, which is what Arrow's memory is: one type for both.

    >>> given = np.zeros(2)
    >>> read_only(given).flags.writeable, given.flags.writeable
    (False, True)
    """
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view

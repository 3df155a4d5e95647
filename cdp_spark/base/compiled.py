"""The decorator of all compiled kernels.

It decides what holds for every kernel: compiled code is cached on disk, in a writable folder; it releases the GIL,
because an embedded engine runs functions as threads of one process; it does not check bounds; it raises what Python
would raise (``error_model``).

A first run waits for the compiler, so kernels are written to compile quickly. Callers allocate memory with NumPy:
``np.zeros`` in a kernel takes as long to compile as a loop. Loops copy arrays: ``a[:] = b`` costs a second, for the
text of its error. A kernel is compiled for each combination of argument types, so callers pass contiguous arrays of one
dtype, and pass arrays that may be Arrow's memory through :func:`read_only`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base import compile_cache
from cdp_spark.base.errors import MissingRequirementError

compile_cache.settle(Path(__file__).parent)

try:
    with warnings.catch_warnings():
        # numba would warn with a traceback, and go on with another value.
        warnings.filterwarnings("error", message="Environment variable", category=RuntimeWarning)
        from numba import config, njit  # numba reads the environment, which has just been set
except (ValueError, RuntimeWarning) as error:
    _first = str(error).splitlines()[0].rstrip(".")
    raise MissingRequirementError(f"numba does not start ({_first}): look at the variables NUMBA_*") from None
if getattr(config, "DISABLE_JIT", False):
    raise MissingRequirementError("NUMBA_DISABLE_JIT is set, but nothing runs uncompiled here: unset it")

Number = TypeVar("Number", bound=np.generic)
Takes = ParamSpec("Takes")
Gives = TypeVar("Gives")


@overload
def compiled(function: Callable[Takes, Gives]) -> Callable[Takes, Gives]: ...


@overload
def compiled(
    *, inline: Literal["never", "always"] = "never", fastmath: bool = False
) -> Callable[[Callable[Takes, Gives]], Callable[Takes, Gives]]: ...


def compiled(
    function: Callable[..., Any] | None = None, *, inline: Literal["never", "always"] = "never", fastmath: bool = False
) -> Any:
    """Compile a function at its first call, for the types of its arguments.

    Parameters
    ----------
    function : callable
    inline : {"never", "always"}
        Always: its code is copied into its callers before types are inferred. This compiles faster for functions that
        are small or have one caller; ``fastmath`` would be lost.
    fastmath : bool
        Allow any order of summation, which vectorises sums. Only where every order gives the same result.
    """
    decorate: Any = njit(
        cache=True, nogil=True, boundscheck=False, error_model="python", inline=inline, fastmath=fastmath
    )
    return decorate if function is None else decorate(function)


def read_only(values: NDArray[Number]) -> NDArray[Number]:
    """Return a contiguous read-only view: the type that Arrow's memory has.

    >>> given = np.zeros(2)
    >>> read_only(given).flags.writeable, given.flags.writeable
    (False, True)
    """
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view

"""The largest resident size of this process."""

from __future__ import annotations

import sys

_forgotten = [0]


def reset_peak() -> None:
    """Reset the peak on Linux; other systems keep it."""
    _forgotten[0] = max(_forgotten[0], peak_bytes())
    try:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
    except OSError:
        pass


def peak_bytes() -> int:
    """Return the largest resident size in bytes since :func:`reset_peak`, or ever."""
    # Avoid getrusage if possible: a process inherits that peak from its parent.
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes, others in KiB


def highest_peak_bytes() -> int:
    """Return the largest resident size in bytes ever, despite :func:`reset_peak`."""
    return max(_forgotten[0], peak_bytes())

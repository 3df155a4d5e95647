"""The largest resident size of this process."""

from __future__ import annotations

import sys

_forgotten = [0]


def reset_peak() -> None:
    """Forget the peak so far; does nothing where the system has no way (only Linux has)."""
    _forgotten[0] = max(_forgotten[0], peak_bytes())
    try:
        with open("/proc/self/clear_refs", "w") as refs:
            refs.write("5")
    except OSError:
        pass


def peak_bytes() -> int:
    """Return the largest resident size of this process, in bytes, since :func:`reset_peak` or ever."""
    # Not getrusage, where there is a choice: that peak a process inherits from the one that started it.
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
    """Return the largest resident size of this process, in bytes, whatever :func:`reset_peak` has forgotten."""
    return max(_forgotten[0], peak_bytes())

"""``python -m cdp_spark`` is ``cdp-spark``."""

import sys

from cdp_spark.cli import main

if __name__ == "__main__":
    sys.exit(main())

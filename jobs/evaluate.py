"""``cdp-spark evaluate`` for spark-submit."""

import sys

from cdp_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))

"""``cdp-spark export`` for spark-submit."""

import sys

from cdp_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))

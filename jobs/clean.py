"""``cdp-spark clean`` for spark-submit."""

import sys

from cdp_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["clean", *sys.argv[1:]]))

"""``cdp-spark denoise`` for spark-submit."""

import sys

from cdp_spark.cli import main

if __name__ == "__main__":
    sys.exit(main(["denoise", *sys.argv[1:]]))

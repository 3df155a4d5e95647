"""``python -m cdp_spark`` is ``cdp-spark``."""

import sys

from cdp_spark.spark.search_path import working_folder_last

if __name__ == "__main__":
    sys.path[:] = working_folder_last(sys.path)

from cdp_spark.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""A finished run -> one HTML file: what went in and out, how good it is, and what to look at."""

from cdp_spark.tasks.report.write import report, write_report

__all__ = ["report", "write_report"]

"""A finished run -> one HTML file: what went in and out, how good it is, and what to look at."""

from cdp_spark.report.flow import report, write_report

__all__ = ["report", "write_report"]

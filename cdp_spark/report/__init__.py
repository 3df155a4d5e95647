"""Write a finished run's report: input, clusters, quality, and what to look at."""

from cdp_spark.report.flow import report, write_report

__all__ = ["report", "write_report"]

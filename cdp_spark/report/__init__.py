"""Write a finished run's report: input, clusters, quality, and items to look at."""

from cdp_spark.base.home import settle_home

settle_home()  # altair asks for it when it is imported

from cdp_spark.report.flow import report, write_report  # noqa: E402

__all__ = ["report", "write_report"]

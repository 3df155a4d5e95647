"""Shared by all rooms: errors, the schema of every table, compiled kernels. Uses no Spark."""

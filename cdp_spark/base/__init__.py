"""What every room shares: errors, the schema of every table, compiled kernels. Knows no Spark."""

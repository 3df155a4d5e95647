"""The way of the data: one pure function per table, named by the table that it returns."""

"""Files on local disks and object stores, read and written without an engine."""

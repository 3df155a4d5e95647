"""Clusters without labels, threshold or setting, as durable tables: read ``flow``."""

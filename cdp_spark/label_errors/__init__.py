"""Clusters against given labels: which labels are wrong."""

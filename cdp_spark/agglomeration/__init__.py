"""Clusters without a threshold: connected pieces of the consensus graph, agglomerated one by one."""

"""The folder of a run: durable stages, their manifests, the lease, the run record."""

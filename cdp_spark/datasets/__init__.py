"""Provide the data that comes with the project, for the demo and the tests."""

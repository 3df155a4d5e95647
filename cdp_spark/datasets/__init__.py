"""Data that comes with the project, for the demo and the tests."""

"""Run the commands that need several rooms: one module per command."""

"""The configuration: its sections, how files and options become one, and what `auto` means."""

"""What every layer shares: errors, the schema of every table, and the config of every stage."""

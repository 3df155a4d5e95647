"""The engines, Spark and Sail: sessions, Arrow functions, and everything in which the two differ."""

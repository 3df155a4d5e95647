"""The engines, Spark and Sail: sessions, Arrow functions, and all differences between the two."""

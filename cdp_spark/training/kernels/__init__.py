"""Arithmetic of training; torch where networks are trained with labels."""

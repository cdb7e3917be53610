"""Recipes of `speciale anatomy`: which stages are left out, one after the other."""

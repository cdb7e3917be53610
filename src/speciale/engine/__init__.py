"""Running a model: cached generation, for now."""

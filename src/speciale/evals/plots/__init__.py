"""The figures of a run's page, each an SVG string, or None without its data."""

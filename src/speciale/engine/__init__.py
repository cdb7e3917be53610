"""The inference engine: pages, scheduler, attention over pages, sampling, and its two faces."""

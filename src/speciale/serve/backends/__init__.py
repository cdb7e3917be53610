"""Where answers come from: the embedded engine, servers elsewhere, nothing at all."""

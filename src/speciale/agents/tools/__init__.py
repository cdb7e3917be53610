"""Real tools: Python, bash, files, search, MCP; each an Environment."""

"""DeepSeek-V3.2 and V3.2-Speciale, end to end."""

__version__ = "0.1.0"

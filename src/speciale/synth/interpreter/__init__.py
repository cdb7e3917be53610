"""The code interpreter: problems that need a Jupyter kernel (V3.2 report, 3.2.3)."""

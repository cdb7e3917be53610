"""What runs beside generated code: the standard library only, short, and without secrets.

It is started as a package of its own (`inside`), without site-packages, so its imports are
relative.
"""

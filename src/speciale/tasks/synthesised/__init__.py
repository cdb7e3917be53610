"""Synthesised tasks: ⟨environment, tools, task, verifier⟩ in a folder, and how they are run.

V3.2 report, section 3.2.3. What makes such folders is speciale.synth.
"""

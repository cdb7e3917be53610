"""The eight gates that a task passes before it is kept."""

from speciale.synth.gates.gate import GATES, Gate, Judged, gates_json
from speciale.synth.gates.judge import judge

__all__ = ["GATES", "Gate", "Judged", "gates_json", "judge"]

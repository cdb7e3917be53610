"""The machines of a plan: memory and speeds of a GPU and of what joins them, stated, not measured.

Defaults are an H200 node's data sheet: 141 GB, 989 TFLOPS in dense bfloat16, NVLink of 450 GB/s
each way, a port of 400 Gbit/s for each GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

GB = 1e9


@dataclass(frozen=True)
class Hardware:
    gpus: int
    gpus_per_node: int = 8
    memory_gb: float = 141.0  # of a GPU
    tflops: float = 989.0  # of a GPU, dense bfloat16
    efficiency: float = 0.35  # of it that matmuls of a training step reach
    link_gbs: float = 450.0  # GB/s between GPUs of a node, each way
    network_gbs: float = 50.0  # GB/s of a GPU to other nodes
    reached: float = 0.8  # of either that large exchanges reach

    def bandwidth(self, ranks: int) -> float:
        """Bytes a second that a rank sends, in a group of so many neighbours."""
        speed = self.link_gbs if ranks <= self.gpus_per_node else self.network_gbs
        return speed * GB * self.reached

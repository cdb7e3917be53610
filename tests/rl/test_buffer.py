"""The buffer on disk: what waits is read back as it was."""

from collections import Counter

import numpy as np

from speciale.rl.buffer import pack, unpack
from speciale.rl.rollouts import Group, Rollout
from speciale.rl.sequences import Sequence
from speciale.train.checkpointing import load_tensors, save_tensors


def group(number):
    kept = [None, None, np.array([3, 5], np.int32), None, np.array([7], np.int32)]
    sequences = [
        Sequence(
            [1, 2, 5, 9, 7], [False, False, True, True, True], [0.0, 0.0, -0.1, -1 / 3, 0.0],
            [-1, -1, 4, 4, 5], kept, np.arange(4 * 2 * 2, dtype=np.int16).reshape(4, 2, 2),
        ),
        Sequence([1, 2], [False, True], [0.0, -2.5], [-1, 3], [None, None], None),
    ]  # fmt: skip
    rollout = Rollout(
        sequences, 1.0, 0.9, {"outcome": 1.0}, 4, 1, False, [{"role": "user", "content": "ä"}]
    )
    return Group(number, "d", "s@1", "s#1", [rollout], Counter(reward=2), False, ["why"])


def test_groups_survive_a_checkpoint(tmp_path):
    tensors, rows = pack([group(3), group(8)])
    save_tensors(tmp_path / "state.safetensors", tensors, {"rows": rows})
    tensors, about = load_tensors(tmp_path / "state.safetensors")
    for one, other in zip(unpack(tensors, about["rows"]), [group(3), group(8)], strict=True):
        assert {**vars(one), "rollouts": 0} == {**vars(other), "rollouts": 0}
        for a, b in zip(one.rollouts, other.rollouts, strict=True):
            assert {**vars(a), "sequences": 0} == {**vars(b), "sequences": 0}
            for s, t in zip(a.sequences, b.sequences, strict=True):
                for key in ("ids", "sampled", "logprobs", "versions"):
                    assert getattr(s, key) == getattr(t, key)
                assert (s.routing is None) == (t.routing is None)
                assert s.routing is None or np.array_equal(s.routing, t.routing)
                for mine, theirs in zip(s.kept, t.kept, strict=True):
                    assert (mine is None) == (theirs is None)
                    assert mine is None or np.array_equal(mine, theirs)

"""The Triton kernels give the plain formulas in float64, in Triton's interpreter or on a GPU.

Where there is no GPU, the interpreter runs them on the CPU; it must be chosen before triton is
imported for the first time.
"""

import json
import os
import random
import subprocess
import sys

import pytest
import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")
triton = pytest.importorskip("triton")

from speciale.ops import triton_backend as ops  # noqa: E402

PAGE = 64
INTERPRETED = not isinstance(triton.language.max, triton.JITFunction)
DEVICES = [
    pytest.param(
        "cpu", marks=pytest.mark.skipif(not INTERPRETED, reason="needs TRITON_INTERPRET=1")
    ),
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(
            not torch.cuda.is_available() or INTERPRETED, reason="needs a GPU, no interpreter"
        ),
    ),
]
DTYPES = {  # of the queries, of the cache, tolerance of attention: some roundings of a result
    "float32": (torch.float32, torch.float32, dict(atol=2e-5, rtol=2e-5)),
    "bfloat16 cache": (torch.float32, torch.bfloat16, dict(atol=2e-5, rtol=2e-5)),
    "float16": (torch.float16, torch.float16, dict(atol=2e-3, rtol=2e-3)),
    "bfloat16": (torch.bfloat16, torch.bfloat16, dict(atol=2e-2, rtol=2e-2)),
}


class Problem:
    """Queries of several requests that share a page; what is beyond them is NaN or nowhere."""

    def __init__(self, device, seed=0, dtypes="float32", lengths=None, dims=None):
        choose = random.Random(seed)
        self.q_type, self.kv_type, self.tolerance = DTYPES[dtypes]
        self.hi, self.di, self.heads, self.rank, self.rope = dims or (
            choose.choice([1, 3, 16, 20]),
            choose.choice([8, 16, 24]),
            choose.choice([1, 3, 17, 20]),
            choose.choice([6, 16, 24]),
            choose.choice([2, 8, 17]),
        )
        self.scale = (self.rank + self.rope) ** -0.5
        # lengths: of each request the visible keys of each of its queries
        lengths = lengths or [
            [choose.randint(1, 140) for _ in range(choose.randint(1, 2))] for _ in range(3)
        ]
        needed = [-(-max(each) // PAGE) for each in lengths]
        pages = list(range(sum(needed) + 2))
        choose.shuffle(pages)
        shared, *free = pages
        self.pages = len(pages)
        tables = torch.full((len(lengths), max(needed) + 1), 1 << 24)  # whoever reads there crashes
        self.slots = []  # of each request, in order of position
        for request, count in enumerate(needed):
            own = [shared] + [free.pop() for _ in range(count - 1)]
            tables[request, :count] = torch.tensor(own)
            slots = torch.tensor([page * PAGE + offset for page in own for offset in range(PAGE)])
            self.slots.append(slots[: max(lengths[request])])
        queries = [(request, length) for request, each in enumerate(lengths) for length in each]
        choose.shuffle(queries)
        self.tables = tables.int().to(device)
        self.rows = torch.tensor([request for request, _ in queries]).int().to(device)
        self.lengths = torch.tensor([length for _, length in queries]).int().to(device)

        generator = torch.Generator().manual_seed(seed)
        n = len(queries)
        used = torch.cat(self.slots)
        keys, latents = (
            torch.full((self.pages * PAGE, width), float("nan"))
            for width in (self.di, self.rank + self.rope)
        )
        keys[used] = torch.randn(len(used), self.di, generator=generator)
        latents[used] = torch.randn(len(used), self.rank + self.rope, generator=generator)
        self.latents = latents.to(device, self.kv_type)
        self.index_pages = keys.view(-1, PAGE, self.di).transpose(1, 2).to(device, self.kv_type)
        self.index_pages = self.index_pages.contiguous()
        self.iq = torch.randn(n, self.hi, self.di, generator=generator).to(device, self.q_type)
        self.iw = torch.randn(n, self.hi, generator=generator).to(device)
        self.q = torch.randn(n, self.heads, self.rank + self.rope, generator=generator)
        self.q = self.q.to(device, self.q_type)

    @property
    def index(self):
        return self.iq, self.iw, self.index_pages, self.tables, self.rows, self.lengths

    def dense(self):
        where = (self.tables, self.rows, self.lengths)
        return ops.dense_attention(self.q, self.latents, *where, self.scale, self.rank)

    def visible(self, n):
        """Slots of the keys that query n sees."""
        return self.slots[self.rows[n]][: self.lengths[n]]

    def expected_scores(self, n):
        keys = self.index_pages.transpose(1, 2).reshape(-1, self.di).double().cpu()
        q, w = self.iq[n].double().cpu(), self.iw[n].double().cpu()
        dots = torch.einsum("hd,sd->hs", q, keys[self.visible(n)])
        return torch.einsum("h,hs->s", w, dots.relu())

    def expected_attention(self, n, slots):
        kv = self.latents[slots.to(self.latents.device)].double().cpu()
        scores = torch.einsum("hw,sw->hs", self.q[n].double().cpu(), kv) * self.scale
        return torch.einsum("hs,sr->hr", scores.softmax(-1), kv[:, : self.rank])

    def check_attention(self, found, slots_of):
        assert found.dtype == self.q.dtype
        assert found.shape == (len(self.q), self.heads, self.rank)
        for n in range(len(self.q)):
            expected = self.expected_attention(n, slots_of(n))
            torch.testing.assert_close(found[n].double().cpu(), expected, **self.tolerance)


RELEASED = (64, 128, 128, 512, 64)
EDGES = [[1, 63], [64, 65], [128], [129, 2]]


@pytest.fixture(params=DEVICES)
def device(request):
    return request.param


@pytest.fixture(
    params=[
        *(pytest.param(dict(seed=seed), id=f"shapes {seed}") for seed in range(4)),
        *(pytest.param(dict(seed=7, dtypes=name), id=name) for name in list(DTYPES)[1:]),
        pytest.param(dict(lengths=EDGES), id="page edges"),
        pytest.param(dict(lengths=[[70]], dims=RELEASED), id="released dimensions"),
    ]
)
def problem(request, device):
    return Problem(device, **request.param)


@pytest.fixture(params=[1, 132], ids=["whole", "split"])
def programs(request, monkeypatch):
    """The number of programs that keys are split for."""
    monkeypatch.setattr(ops, "_PROGRAMS", request.param)


def check_scores(problem, scores):
    for n, length in enumerate(problem.lengths.tolist()):
        found = scores[n].double().cpu()
        torch.testing.assert_close(found[:length], problem.expected_scores(n), atol=1e-4, rtol=1e-5)
        assert (found[length:] == float("-inf")).all()


def test_scores_are_the_formula(problem):
    scores = ops.index_scores_paged(*problem.index)
    longest = int(problem.lengths.max())
    assert scores.dtype == torch.float32
    assert scores.shape == (len(problem.q), -(-longest // PAGE) * PAGE)
    check_scores(problem, scores)


def test_scores_of_several_pages_a_program(device, monkeypatch):
    problem = Problem(device, lengths=[[10 * PAGE + 5], [3]])
    monkeypatch.setattr(ops, "_PROGRAMS", 1)  # 2 pages a program
    check_scores(problem, ops.index_scores_paged(*problem.index))


def test_a_given_max_length_widens_the_scores(device):
    problem = Problem(device, lengths=[[5, 64], [3]])
    scores = ops.index_scores_paged(*problem.index, max_length=PAGE + 1)
    assert scores.shape == (3, 2 * PAGE)
    check_scores(problem, scores)
    with pytest.raises(AssertionError, match="max_length 129 is beyond tables"):
        ops.index_scores_paged(*problem.index, max_length=2 * PAGE + 1)


@pytest.mark.parametrize("topk", [32, 300])
def test_topk_takes_the_best_visible_keys_in_order(problem, topk):
    found = ops.index_topk(*problem.index, topk)
    assert found.dtype == torch.int32 and found.shape == (len(problem.q), topk)
    for n, length in enumerate(problem.lengths.tolist()):
        count = min(topk, length)
        slots, rest = found[n, :count].tolist(), found[n, count:]
        assert (rest == -1).all()
        places = [problem.visible(n).tolist().index(slot) for slot in slots]
        assert places == sorted(set(places))
        scores = problem.expected_scores(n)  # equal scores may be chosen either way
        best = scores.topk(count).values
        torch.testing.assert_close(
            scores[places].sort(descending=True).values, best, atol=1e-4, rtol=1e-5
        )


def test_topk_is_the_same_in_blocks_of_queries(device, monkeypatch):
    problem = Problem(device, lengths=[[5, 70, 66], [3, 1]])
    whole = ops.index_topk(*problem.index, 60)
    monkeypatch.setattr(ops, "_SCORE_FLOATS", 2 * 70)  # two queries a block
    widest = problem.tables.shape[1] * PAGE
    assert torch.equal(ops.index_topk(*problem.index, 60, max_length=widest), whole)


def test_sparse_attention_is_the_formula(problem, programs):
    choose, k = random.Random(0), 40
    slots = torch.full((len(problem.q), k), -1, dtype=torch.int32)
    for n in range(len(slots)):  # in any order, with holes anywhere
        visible = problem.visible(n).tolist()
        count = choose.randint(1, min(k, len(visible)))
        places = torch.tensor(choose.sample(range(k), count))
        slots[n, places] = torch.tensor(choose.sample(visible, count), dtype=torch.int32)
    there = slots.to(problem.q.device)
    found = ops.sparse_attention(problem.q, problem.latents, there, problem.scale, problem.rank)
    problem.check_attention(found, lambda n: slots[n][slots[n] >= 0])


def test_dense_attention_is_the_formula(problem, programs):
    problem.check_attention(problem.dense(), problem.visible)


@pytest.mark.slow
def test_all_selected_equals_dense(problem):
    slots = ops.index_topk(*problem.index, int(problem.lengths.max()))
    sparse = ops.sparse_attention(problem.q, problem.latents, slots, problem.scale, problem.rank)
    torch.testing.assert_close(sparse, problem.dense(), **problem.tolerance)


def test_large_scores_neither_overflow_nor_vanish(device, programs):
    problem = Problem(device, lengths=[[150]])
    problem.scale = 300.0  # scores of several thousands, of both signs
    problem.tolerance = dict(atol=1e-2, rtol=1e-2)
    problem.check_attention(problem.dense(), problem.visible)


def test_no_slots_give_zeros(device, programs):
    problem = Problem(device)
    for k in (0, 40):
        slots = torch.full((len(problem.q), k), -1, dtype=torch.int32, device=device)
        found = ops.sparse_attention(problem.q, problem.latents, slots, 1.0, problem.rank)
        assert found.shape == (len(problem.q), problem.heads, problem.rank)
        assert (found == 0).all()


def test_no_queries(device):
    problem = Problem(device)
    for name in ("iq", "iw", "rows", "lengths", "q"):
        setattr(problem, name, getattr(problem, name)[:0])
    assert ops.index_scores_paged(*problem.index).shape == (0, 0)
    assert ops.index_scores_paged(*problem.index, max_length=64).shape == (0, 64)
    slots = ops.index_topk(*problem.index, 4)
    assert slots.shape == (0, 4)
    expected = (0, problem.heads, problem.rank)
    sparse = ops.sparse_attention(problem.q, problem.latents, slots, 1.0, problem.rank)
    assert sparse.shape == problem.dense().shape == expected


def test_a_cache_is_never_copied(device):
    problem = Problem(device)
    problem.latents = problem.latents.t().contiguous().t()
    with pytest.raises(AssertionError, match="must be contiguous"):
        problem.dense()


def test_nothing_is_read_back_from_the_device(device, monkeypatch):
    problem = Problem(device, lengths=[[5, 70], [3]])

    def forbidden(*_):
        raise RuntimeError("the host would wait for the GPU")

    for name in ("__int__", "__index__", "__bool__", "item", "tolist", "nonzero"):
        monkeypatch.setattr(torch.Tensor, name, forbidden)
    slots = ops.index_topk(*problem.index, 8, max_length=100)
    ops.sparse_attention(problem.q, problem.latents, slots, 1.0, problem.rank)
    problem.dense()
    with pytest.raises(RuntimeError, match="would wait"):
        ops.index_topk(*problem.index, 8)


# The interpreter takes programs that the compiler refuses, and knows no shared memory. Compiling
# needs no GPU, only a driver that names one; in a process of its own, without the interpreter.
COMPILE = """
import json
import torch, triton
from triton.backends.compiler import GPUTarget
from speciale.ops import triton_backend as ops

class Driver:
    def get_current_device(self): return self.capability
    def get_current_stream(self, device): return 0
    def get_current_target(self): return GPUTarget("cuda", self.capability, 32)

driver = Driver()
triton.runtime.driver.set_active(driver)
ops._check = lambda *_: None
run, kernels = triton.JITFunction.run, []
def compile_only(self, *args, warmup, **options):
    kernel = run(self, *args, warmup=True, **options)
    kernels.append((driver.capability, kernel.metadata.shared, "mma" in kernel.asm["ptx"]))
triton.JITFunction.run = compile_only

released = (64, 128, 128, 512, 64, 2048)
for driver.capability, dims, dtype in (
    (80, released, torch.bfloat16),
    (90, released, torch.bfloat16),
    (90, released, torch.float32),
    (90, (3, 16, 3, 16, 8, 1), torch.float32),
):
    hi, di, heads, rank, rope, k = dims
    tables, slots = torch.zeros(1, k, dtype=torch.int32), torch.zeros(1, k, dtype=torch.int32)
    rows, lengths = torch.zeros(1, dtype=torch.int32), torch.ones(1, dtype=torch.int32)
    q = torch.zeros(1, heads, rank + rope, dtype=dtype)
    latents = torch.zeros(64, rank + rope, dtype=dtype)
    iq, keys = torch.zeros(1, hi, di, dtype=dtype), torch.zeros(1, di, 64, dtype=dtype)
    ops.index_scores_paged(iq, torch.zeros(1, hi), keys, tables, rows, lengths, 64 * k)
    ops.sparse_attention(q, latents, slots, 1.0, rank)
    ops.dense_attention(q, latents, tables, rows, lengths, 1.0, rank)
print(json.dumps(kernels))
"""


@pytest.mark.slow
def test_kernels_compile_and_fit_in_shared_memory(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    kernels = json.loads(done.stdout)
    # bytes a block may have: CUDA programming guide, technical specifications (A100, H100)
    most = {80: 163 * 1024, 90: 227 * 1024}
    assert len(kernels) == 12
    assert all(0 < shared <= most[capability] for capability, shared, _ in kernels)
    assert [tensor_cores for *_, tensor_cores in kernels] == [True] * 6 + [False] * 6

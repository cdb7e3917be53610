"""Trees and patches of the code agent: the same bytes everywhere, applied exactly or not at all."""

from __future__ import annotations

import io
import tarfile
from random import Random

import pytest

from speciale.errors import DataError
from speciale.tasks.synthesised.repository.patch import (
    PatchError,
    apply_patch,
    make_patch,
    read_patch,
    write_patch,
)
from speciale.tasks.synthesised.repository.tree import digest, pack, unpack

OLD = {"a.py": b"one\ntwo\nthree\nfour\nfive\nsix\nseven\neight\nnine\nten\n", "b.txt": b"x"}


def test_packing_depends_on_paths_and_contents_alone():
    tree = {"pkg/b.py": b"b", "pkg/a.py": b"a", "x/" + "long" * 40 + ".py": b""}
    backwards = dict(reversed(tree.items()))
    assert pack(tree) == pack(backwards)
    assert unpack(pack(tree)) == tree
    assert digest(tree) == digest(backwards) != digest({**tree, "pkg/a.py": b"c"})
    assert digest({"a": b"bc"}) != digest({"ab": b"c"})


@pytest.mark.parametrize("name", ["../out.py", "/etc/out.py", "a/../../out.py"])
def test_archive_that_leads_out_is_refused(name):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(DataError, match="leads out"):
        unpack(data.getvalue())


def test_links_of_an_archive_are_left_out_and_rubbish_is_named():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        link = tarfile.TarInfo("pkg-1/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("pkg-1/a.py"), io.BytesIO())
    assert unpack(data.getvalue(), strip=1) == {"a.py": b""}
    with pytest.raises(DataError, match="cannot be read"):
        unpack(b"no archive")


def test_patches_bring_any_tree_to_any_other():
    random = Random(3)
    for _ in range(200):
        trees = []
        for _ in range(2):
            tree = {}
            for name in random.sample(["a", "b/c", "d", "e"], random.randrange(1, 5)):
                rows = [random.choice("xyz\té") for _ in range(random.randrange(30))]
                end = random.choice(["", "\n"])
                tree[name] = ("\n".join(rows) + end).encode() + random.choice([b"", b"\xff\r\n"])
            trees.append(tree)
        patch = make_patch(*trees)
        if trees[0] == trees[1]:
            assert patch == ""
            continue
        assert apply_patch(trees[0], patch) == trees[1]
        assert apply_patch(trees[0], write_patch(read_patch(patch))) == trees[1]


def test_hunk_that_stands_some_lines_off_is_found_and_one_that_does_not_fit_is_not():
    new = {**OLD, "a.py": OLD["a.py"].replace(b"five", b"5").replace(b"one\n", b"")}
    patch = make_patch(OLD, new)
    moved = {**OLD, "a.py": b"zero\nzero\n" + OLD["a.py"]}
    assert apply_patch(moved, patch)["a.py"] == b"zero\nzero\n" + new["a.py"]
    with pytest.raises(PatchError, match="hunk 1"):
        apply_patch({**OLD, "a.py": OLD["a.py"].replace(b"six", b"6")}, patch)
    with pytest.raises(PatchError, match="no file"):
        apply_patch({}, patch)


def test_patch_of_hunks_that_were_left_out():
    far = {"a.py": b"".join(b"%d\n" % n for n in range(60))}
    new = {"a.py": far["a.py"].replace(b"\n7\n", b"\nseven\n").replace(b"\n50\n", b"\nfifty\n")}
    first, second = read_patch(make_patch(far, new))
    assert (first.added, first.removed) == (["seven\n"], ["7\n"])
    assert b"fifty" not in apply_patch(far, [first])["a.py"]
    assert apply_patch(apply_patch(far, [second]), [first]) == new


@pytest.mark.parametrize(
    "text, why",
    [
        ("mend it", "no hunk"),
        ("--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n", "its head says"),
        ("@@ -1 +1 @@\n-one\n+two\n", "before the names"),
        ("--- a/../x\n+++ b/../x\n@@ -1 +1 @@\n-one\n+two\n", "no path below"),
        ("--- /dev/null\n+++ b//etc/x\n@@ -0,0 +1 @@\n+two\n", "no path below"),
        ("--- /dev/null\n+++ b/a.py\n@@ -0,0 +1 @@\n+two\n", "it is there"),
    ],
)
def test_bad_patches_say_why(text, why):
    with pytest.raises(PatchError, match=why):
        apply_patch(OLD, text)


def test_binary_files_have_no_patch():
    with pytest.raises(PatchError, match=r"a\.bin"):
        make_patch({"a.bin": b"\0"}, {"a.bin": b"\1"})

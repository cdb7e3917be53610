import errno
import os

import pytest

from speciale.errors import SpecialeError
from speciale.files import open_atomic, write_atomic


def fail_with(code):
    def fail(*args):
        raise OSError(code, os.strerror(code))

    return fail


def test_text_and_bytes_arrive_and_leave_nothing_else(tmp_path):
    write_atomic(tmp_path / "new" / "a", "é\n")
    write_atomic(str(tmp_path / "new" / "a"), "è\n")
    write_atomic(tmp_path / "new" / "b", b"\xff")
    assert (tmp_path / "new" / "a").read_bytes() == "è\n".encode()
    assert (tmp_path / "new" / "b").read_bytes() == b"\xff"
    assert sorted(os.listdir(tmp_path / "new")) == ["a", "b"]


def test_others_may_read_the_file_as_the_umask_allows(tmp_path):
    write_atomic(tmp_path / "written", "x")
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_file_and_folder_are_on_the_disk_in_the_right_order(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, os.replace

    def note_sync(handle):
        done.append("folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        sync(handle)

    def note_rename(*args):
        done.append("rename")
        rename(*args)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    write_atomic(tmp_path / "a", "x")
    assert done == ["file", "rename", "folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_keeps_the_old_file_and_says_what_to_do(tmp_path, monkeypatch, call, code):
    path = tmp_path / "a"
    path.write_text("old")
    monkeypatch.setattr(os, call, fail_with(code))
    with pytest.raises(SpecialeError, match=rf"full while writing {path}: free some space"):
        write_atomic(path, "new")
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_text() == "old"


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(SpecialeError, match=rf"Could not write {tmp_path}/a \(Is a directory\)"):
        write_atomic(tmp_path / "a", "x")
    (tmp_path / "b").write_text("")
    with pytest.raises(SpecialeError, match=r"Could not write .*/b/c"):
        write_atomic(tmp_path / "b" / "c", "x")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_an_error_in_the_block_passes_through_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), open_atomic(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["a"]
    assert path.read_text() == "old"

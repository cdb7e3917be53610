"""What a jail is given to see: nothing but the system's folders, Python and this package."""

import os
import sys
import sysconfig

import pytest

from speciale.sandbox import layout


def bound(arguments):
    """Destination -> source of the bind mounts."""
    found = {}
    for place, word in enumerate(arguments):
        if word.endswith(("bind", "bind-try")):
            found[arguments[place + 2]] = arguments[place + 1]
    return found


def test_sources_are_few_and_chosen():
    mounts = bound(layout.jail())
    allowed = {os.path.realpath(sys.base_prefix), *layout.PACKAGES, str(layout.PACKAGE)}
    allowed |= {str(layout.INSIDE), *layout.SYSTEM, *layout.ETC}
    allowed |= {f"/dev/{name}" for name in layout.DEVICES}
    assert set(mounts.values()) <= allowed
    for path in ("/", "/etc", "/home", "/root", "/run", "/var", "/proc", "/sys", "/dev", "/tmp"):
        assert path not in mounts.values() and path not in mounts


def test_nothing_but_devices_can_be_written():
    arguments = layout.jail()
    for place, word in enumerate(arguments):
        if word in ("--bind", "--bind-try", "--dev-bind", "--dev-bind-try"):
            assert arguments[place + 1].startswith("/dev/")


@pytest.mark.parametrize("base", ["/work/python", "/tmp/python"])
def test_a_python_that_the_jail_s_folders_would_cover_stands_elsewhere(base, monkeypatch):
    monkeypatch.setattr(layout, "BASE", base)
    mounts = bound(layout.jail())
    assert mounts["/python/base"] == base and not any(m.startswith(base) for m in mounts)
    assert layout.python().startswith("/python/base/bin/")
    assert layout.environment()["LD_LIBRARY_PATH"] == "/python/base/lib"
    assert "home = /python/base/bin\n" in layout.made()["/python/pyvenv.cfg"]


def test_packages_stand_in_the_jail_s_own_environment():
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    mounts = bound(layout.jail())
    assert mounts[f"/python/lib/{version}/site-packages"] in {
        os.path.realpath(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")
    }


def test_a_folder_closed_to_others_is_named(monkeypatch, tmp_path):
    for name in ("base", "packages", "package"):
        (tmp_path / name).mkdir(mode=0o755)
    monkeypatch.setattr(layout, "BASE", str(tmp_path / "base"))
    monkeypatch.setattr(layout, "PACKAGES", {str(tmp_path / "packages")})
    monkeypatch.setattr(layout, "PACKAGE", tmp_path / "package")
    assert layout.closed_to_others(ancestors=False) is None
    (tmp_path / "packages").chmod(0o700)
    assert layout.closed_to_others(ancestors=False) == str(tmp_path / "packages")
    (tmp_path / "packages").chmod(0o755)
    tmp_path.chmod(0o700)
    assert layout.closed_to_others(ancestors=True) == str(tmp_path)

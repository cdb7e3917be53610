"""A database of each kind: a file of SQLite, and a PostgreSQL of our own."""

import os

import pytest
from postgres_cluster import Cluster


@pytest.fixture(scope="session")
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'a.db'}"
    cluster = request.getfixturevalue("cluster")
    return cluster.create(f"t{os.urandom(6).hex()}")


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'a.db'}"

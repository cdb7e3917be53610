"""Keeps the reference to what a class declares.

What `__init__` sets without a type, such as the parts of an nn.Module, is read in the source, which
is a click away; with a heading each it would bury the methods.
"""

from __future__ import annotations

from typing import Any

import griffe


class Declared(griffe.Extension):
    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        for name, member in list(cls.members.items()):
            set_inside = member.is_attribute and "class-attribute" not in member.labels
            if set_inside and member.annotation is None:
                cls.del_member(name)

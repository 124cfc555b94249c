from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from lorair_cli.tables import FieldError, build


@dataclass(frozen=True)
class Leaf:
    size: int
    share: float = 0.5

    def __post_init__(self):
        if self.size < 0:
            raise ValueError(f"size {self.size} is negative")


@dataclass(frozen=True)
class Twig:
    name: str


@dataclass(frozen=True)
class Tree:
    kind: Literal["oak", "elm"]
    leaf: Leaf
    branch: Leaf | Twig
    rings: tuple[int, ...]
    leaves: tuple[Leaf, ...] = ()
    corner: tuple[int, str] = (0, "")
    height: float | None = None
    alive: bool = True
    notes: dict[str, Any] = field(default_factory=dict)


GOOD = {"kind": "oak", "leaf": {"size": 1}, "branch": {"name": "b"}, "rings": [1, 2]}


def test_tables_become_dataclasses():
    tree = build(Tree, GOOD | {"leaves": [{"size": 2, "share": 1}], "corner": [3, "x"], "notes": {"a": [1]}})
    assert tree == Tree("oak", Leaf(1), Twig("b"), (1, 2), (Leaf(2, 1.0),), (3, "x"), notes={"a": [1]})
    assert isinstance(tree.leaves[0].share, float)


def test_instances_and_union_members_are_taken():
    assert build(Tree, GOOD | {"leaf": Leaf(7), "branch": Leaf(3), "height": 2}).branch == Leaf(3)
    assert build(Tree, GOOD | {"branch": {"size": 4}, "height": 2}).branch == Leaf(4)
    assert build(Tree, GOOD | {"height": 2}).height == 2.0


@pytest.mark.parametrize(
    "change, message",
    [
        ({"age": 3}, "'age' is not a known field"),
        ({"kind": "ash"}, "kind is 'ash', expected one of oak, elm"),
        ({"leaf": {}}, r"leaf\.size is missing"),
        ({"leaf": {"size": 1.0}}, r"leaf\.size is 1\.0, expected int"),
        ({"leaf": {"size": True}}, r"leaf\.size is True, expected int"),
        ({"leaf": {"size": -1}}, "size -1 is negative"),
        ({"leaf": 3}, "leaf is not a table"),
        ({"leaves": [{"size": 1}, {"size": "2"}]}, r"leaves\[1\]\.size is '2'"),
        ({"rings": 3}, "rings is 3"),
        ({"rings": [1, "2"]}, r"rings\[1\] is '2', expected int"),
        ({"corner": [1]}, r"corner is \[1\]"),
        ({"alive": 1}, "alive is 1, expected bool"),
        ({"height": "x"}, "height is 'x'"),
        ({"notes": []}, r"notes is \[\]"),
    ],
)
def test_errors_name_the_field(change, message):
    with pytest.raises(ValueError, match=message):
        build(Tree, GOOD | change)


@pytest.mark.parametrize(
    "change, field",
    [
        ({"age": 3}, "age"),
        ({"leaf": {}}, "leaf"),  # what is missing is missing there
        ({"leaf": {"size": -1}}, "leaf.size"),
        ({"leaves": [{"size": 1}, {"size": "2"}]}, "leaves[1].size"),
        ({"kind": "ash"}, "kind"),
    ],
)
def test_errors_carry_the_fields_path(change, field):
    with pytest.raises(FieldError) as error:
        build(Tree, GOOD | change)
    assert error.value.field == field


def test_the_name_around_leads_the_field():
    with pytest.raises(ValueError, match=r"garden\.leaf\.size is missing"):
        build(Tree, GOOD | {"leaf": {}}, "garden")
    with pytest.raises(ValueError, match="garden is not a table"):
        build(Tree, [], "garden")


def test_hostile_values_stay_on_one_line():
    for change in ({"kind": "a\nb"}, {"a\nb": 1}, {"rings": "x\n" * 10_000}):
        with pytest.raises(ValueError) as error:
            build(Tree, GOOD | change)
        assert "\n" not in str(error.value) and len(str(error.value)) < 200

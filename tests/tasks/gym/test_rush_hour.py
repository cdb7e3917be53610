"""Rush hour: solutions are shortest and possible; impossible moves are none."""

import pytest

from speciale.tasks.gym.rush_hour import solve, solved_by

FREE = "oooooo"
ONE = FREE + FREE + "AAoBoo" + "oooBoo" + FREE + FREE


def test_a_shortest_solution():
    assert solve(ONE) in ("B+1 A+4", "B-2 A+4")
    assert solve(FREE + FREE + "ooooAA" + FREE * 3) == ""
    jam = "oGHJBBoGHJoooGAALoCCIKLoooIKxooEEoxo"  # of the library's, 17 moves by its count
    assert solved_by(jam, solve(jam)) and len(solve(jam).split()) <= 17


@pytest.mark.parametrize("board", [FREE * 2 + "AAoxoo" + FREE * 3, FREE * 2 + "AABBxo" + FREE * 3])
def test_no_solution(board):
    with pytest.raises(ValueError, match="no solution"):
        solve(board)


@pytest.mark.parametrize(
    "moves",
    [
        "A+4",  # through B
        "B-7 A+4",  # out of the board
        "B+4 A+4",
        "B-2 A+3",  # not far enough
        "B-2 A+4 C+1",  # no such vehicle
        "B-0 A+4",
        "b-2 a+4",
        "B-2A+4",
        "",
        "B-2 " + "A+1 A-1 " * 1000 + "A+4",
        "\x00",
    ],
)
def test_what_is_no_solution(moves):
    assert not solved_by(ONE, moves)

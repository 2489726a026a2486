from __future__ import annotations

from core.charts import Bar, columns, line


def test_columns_stand_on_the_line_and_others_hang_below_it() -> None:
    drawn = columns([(2, 1), (0, 0)], [0, 1])

    assert drawn.bars == [
        Bar(1, "5.00", "25.00", "40.00", "50.00"),
        Bar(2, "5.00", "0.00", "40.00", "25.00"),
        Bar(0, "55.00", "75.00", "40.00", "25.00"),
    ]
    assert (drawn.ground, drawn.highest) == ("75.00", 3)


def test_nothing_is_an_empty_picture() -> None:
    assert columns([]).bars == columns([(0,), (0,)]).bars == []
    assert columns([(0,)], [0]).ground == "100.00"
    assert line([]) == ""
    assert line([0, 0]) == "0.00,100.00 100.00,100.00"


def test_a_line_goes_from_left_to_right_up_to_its_highest() -> None:
    assert line([1, 4, 2]) == "0.00,75.00 50.00,0.00 100.00,50.00"

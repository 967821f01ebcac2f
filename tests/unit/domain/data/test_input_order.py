import pytest

from domain.data.input_order import input_places

SHOWN = "postgresql://h:5432/shop#"


@pytest.mark.parametrize(
    "names",
    [
        ["2023-9.csv", "2023-10.csv", "a1.csv", "a01.csv"][:2],
        [f"{SHOWN}id(*,-10]", f"{SHOWN}id(-10,-9]", f"{SHOWN}id(-9,2]", f"{SHOWN}id(2,10]"],
        [f"{SHOWN}n(*,1.25]", f"{SHOWN}n(1.25,1.5]", f"{SHOWN}n(1.5,10.0]"],
        [
            f"{SHOWN}changed%20at(*,2024-01-01 00:00:00]",
            f"{SHOWN}changed%20at(2024-01-01 00:00:00,2024-01-02 00:00:00.25]",
        ],
        [f"{SHOWN}t(*,2024-01-02 00:00:00.25+00]", f"{SHOWN}t(2024-01-02 00:00:00.25+00,2024-01-02 00:00:00.5+00]"],
        [f"{SHOWN}s(*,%29]", f"{SHOWN}s(%29,a%2Cb]", f"{SHOWN}s(a%2Cb,b]", f"{SHOWN}s(b,nan]", f"{SHOWN}s(nan,%C3%A9]"],
    ],
)
def test_inputs_have_the_order_in_which_their_rows_came(names):
    assert input_places(names) == list(range(len(names)))
    assert input_places(names[::-1]) == list(range(len(names)))[::-1]


def test_slices_and_files_can_be_compared():
    assert sorted(input_places([f"{SHOWN}id(*,7]", "a.csv", f"{SHOWN}id(7,a]", "b.csv"])) == [0, 1, 2, 3]

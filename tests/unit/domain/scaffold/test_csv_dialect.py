import pytest

from domain.scaffold.column_vocabulary import column_meaning, split_name
from domain.scaffold.csv_dialect import sniff_dialect, sniff_encoding


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b,c\n1,2.5,x\n2,3.5,y\n", ","),
        ("a;b\n1,5;2\n2,5;3\n", ";"),
        ("a;b\n1.234,50;2\n2,5;3\n", ";"),
        ("a\tb\n1\t2,5\n2\t3,5\n", "\t"),
        ("a|b\n1|2\n2|3\n", "|"),
        ('a;b\n"x, y; z";1,5\n"v, w";2,5\n', ";"),
        ("name;value\nx, y;1\nx, z;2\nu, v;3;4\nw, q;5;6\nend", ";"),
        ("a,b\n", ","),
        ("date,value\n2024-01-01,5\n2024-01-02,7\n", ","),
    ],
)
def test_the_separator(text, delimiter):
    dialect = sniff_dialect(text)
    assert (dialect.delimiter, dialect.header) == (delimiter, True)


@pytest.mark.parametrize("text", ["2024-01-01,5.5,7\n2024-01-02,6.5,8\n", "1;2\n3;4\n5;6\n"])
def test_a_first_row_of_values_is_no_header(text):
    assert not sniff_dialect(text).header


def test_columns_named_as_years_are_a_header():
    assert sniff_dialect("item,2019,2020\na,1,2\nb,3,4\n").header


@pytest.mark.parametrize(
    ("start", "encoding"),
    [
        ("Käse".encode(), "utf-8"),
        ("Käse und Brot".encode("cp1252"), "cp1252"),
        ("Käse".encode("utf-16"), "utf-16"),
        ("abc €".encode()[:-1], "utf-8"),
        (b"", "utf-8"),
    ],
)
def test_encoding(start, encoding):
    assert sniff_encoding(start) == encoding


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("StoreID", "id"),
        ("unit_sales", "target"),
        ("Umsatz €", "target"),
        ("price_group", "group"),
        ("is_holiday", "flag"),
        ("unit price", "driver"),
        ("flight no", "id"),
        ("number_of_orders", "target"),
        ("weekday", "date_part"),
        ("x7", ""),
        ("", ""),
    ],
)
def test_meaning_of_a_name(name, means):
    assert column_meaning(name) == means


def test_words_of_a_name():
    assert split_name("StoreID_nr2 Größe") == ["store", "id", "nr2", "größe"]

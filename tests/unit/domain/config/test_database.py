import pytest

from domain.errors import FleetError


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://svc:hunter2@db.example.org/sales",
        "postgresql://svc:hunter2@@db.example.org/sales",
        "postgresql://svc:hun/ter2@db.example.org/sales",
        "postgresql://db.example.org/sales?user=svc&password=hunter2",
        "postgresql://db.example.org/sales?sslkey=a&SSLPASSWORD=hunter2",
        "postgres+psycopg://svc:hunter2@db.example.org/sales",
    ],
)
def test_a_password_in_the_fleet_file_is_refused_and_not_repeated(fleet, url):
    with pytest.raises(FleetError, match=r"sink\.url: .*a password has no place here.*PGPASSWORD.*env:") as caught:
        fleet.forecast(sink={"url": url})
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://svc:hunter2@h/d", "env:", "env:MY-SINK", "out.db", "sqlite", 7])
def test_what_is_no_address_is_refused(fleet, url):
    with pytest.raises(FleetError, match=r"sink\.url: ") as caught:
        fleet.forecast(sink={"url": url})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "table",
    ["a.b.c", "myriad_deliveries", "reporting.Myriad_Deliveries", "drop table x; --", 'a"b', "1a", "", "x" * 64],
)
def test_a_table_has_a_plain_name(fleet, table):
    with pytest.raises(FleetError, match=r"sink\.table: "):
        fleet.forecast(sink={"url": "env:SINK", "table": table})


def test_a_sink_changes_no_fingerprint(fleet):
    plain, with_sink = fleet.forecast(), fleet.forecast(sink={"url": "postgresql://svc@h/d", "table": "reporting.m3"})
    assert "sink" not in plain.model_dump()
    assert with_sink.sink.table_of("shop") == "reporting.m3"
    assert fleet.forecast(sink={"url": "env:SINK"}).sink.table_of("my-shop") == "my_shop_predictions"

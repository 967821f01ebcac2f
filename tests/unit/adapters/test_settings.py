"""Settings: contradictions are errors before anything starts, one line per contradiction; `.env` never overrides."""

import os
from unittest import mock

import pytest

from adapters.settings import FAMILIES, TLS_FILES, Settings, load_environment
from domain.errors import SettingsError

HTTP = {"AWS_ENDPOINT_URL": "http://s3:8333"}
S3 = {"MYRIAD_LAKE": "s3://lake"}
TLS_ADDRESS = {"MYRIAD_DASK_ADDRESS": "tls://scheduler:8786"}


@pytest.fixture(autouse=True)
def environment():
    """The environment without Myriad's and its libraries' variables; changes by a test are undone."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(FAMILIES)}
    with mock.patch.dict(os.environ, rest, clear=True):
        yield os.environ


@pytest.fixture
def certificates(tmp_path):
    for name in TLS_FILES:
        (tmp_path / name).touch()
    return str(tmp_path)


def error_lines(**variables):
    """Lines of the error that these variables alone cause."""
    os.environ.update({name: str(value) for name, value in variables.items()})
    with pytest.raises(SettingsError) as error:
        Settings()
    return str(error.value).splitlines()


CONTRADICTIONS = [
    (
        {"MYRIAD_WORKERS": 2, "MYRIAD_MIN_WORKERS": 3},
        "MYRIAD_MIN_WORKERS: 3 is more than MYRIAD_WORKERS = 2; lower the one or raise the other",
    ),
    (
        {"MYRIAD_TRACKING_URI": "http://a", "MLFLOW_TRACKING_URI": "http://b"},
        "MYRIAD_TRACKING_URI and MLFLOW_TRACKING_URI name different places; unset one of them",
    ),
    (
        {"MYRIAD_TRACKING_URI": "https://mlflow", "MYRIAD_ARTIFACT_ROOT": "s3://files"},
        "MYRIAD_ARTIFACT_ROOT: s3://files has no effect, since the tracking server at MYRIAD_TRACKING_URI decides "
        "where artifacts are kept; unset it",
    ),
    (
        {"MYRIAD_DASK_ADDRESS": "ws://scheduler:1"},
        "MYRIAD_DASK_ADDRESS: ws://scheduler:1: ws:// is not allowed; give tcp://HOST:PORT or tls://HOST:PORT",
    ),
    (
        {"MYRIAD_DASK_ADDRESS": "tcp://scheduler:1", "MYRIAD_DASK_REQUIRE_TLS": "true"},
        "MYRIAD_DASK_ADDRESS: tcp://scheduler:1 is not encrypted, and MYRIAD_DASK_REQUIRE_TLS is set; give tls://HOST:PORT",
    ),
    (
        {"MYRIAD_DASK_ADDRESS": "scheduler:1", "MYRIAD_DASK_REQUIRE_TLS": "true"},
        "MYRIAD_DASK_ADDRESS: scheduler:1 is not encrypted, and MYRIAD_DASK_REQUIRE_TLS is set; give tls://HOST:PORT",
    ),
    (
        TLS_ADDRESS,
        "MYRIAD_DASK_ADDRESS: tls://scheduler:8786 needs certificates; set MYRIAD_DASK_TLS to the folder that "
        "`myriad tls FOLDER` has made for the scheduler",
    ),
    (
        S3 | {"AWS_S3_ALLOW_UNSAFE_RENAME": "true"},
        "AWS_S3_ALLOW_UNSAFE_RENAME is set: two commits at once could lose one of them; unset it",
    ),
    (
        S3 | HTTP,
        "AWS_ENDPOINT_URL: http://s3:8333 is not encrypted; set AWS_ALLOW_HTTP=true to allow that, or use https://",
    ),
    (
        S3 | {"AWS_ACCESS_KEY_ID": "a"},
        "AWS_ACCESS_KEY_ID is set without AWS_SECRET_ACCESS_KEY; set both, or neither",
    ),
    (
        S3 | {"AWS_SECRET_ACCESS_KEY": "b"},
        "AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID; set both, or neither",
    ),
    (
        {"MYRIAD_REGISTRY_DATABASE": "postgresql:///mlflow", "MYRIAD_REGISTRY_FILES": "s3://files"},
        "MYRIAD_REGISTRY_DATABASE and MYRIAD_REGISTRY_FILES without a tracking server: set MYRIAD_TRACKING_URI to "
        "http://HOST:PORT, or unset this",
    ),
    (
        {"MYRIAD_REGISTRY_FILES": "s3://files", "MYRIAD_TRACKING_URI": "sqlite:///a.db"},
        "MYRIAD_REGISTRY_FILES without a tracking server: set MYRIAD_TRACKING_URI to http://HOST:PORT, or unset this",
    ),
]


@pytest.mark.parametrize(
    ("variables", "line"), CONTRADICTIONS, ids=lambda value: None if isinstance(value, str) else ""
)
def test_a_contradiction_is_one_line_with_the_way_out(variables, line):
    assert error_lines(**variables) == [line]


@pytest.mark.parametrize(
    "variables",
    [
        {"MYRIAD_WORKERS": "3", "MYRIAD_MIN_WORKERS": "3"},
        {"MYRIAD_TRACKING_URI": "http://a", "MLFLOW_TRACKING_URI": "http://a", "MYRIAD_REGISTRY_FILES": "s3://files"},
        {"MYRIAD_TRACKING_URI": "sqlite:///a.db", "MYRIAD_ARTIFACT_ROOT": "s3://files"},
        {"MYRIAD_DASK_ADDRESS": "scheduler:1"},
        {"MYRIAD_DASK_REQUIRE_TLS": "true"},
        S3 | HTTP | {"AWS_ALLOW_HTTP": "True"},
        S3 | HTTP | {"AWS_ENDPOINT_URL_S3": "https://s3"},
        S3 | {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"},
        HTTP | {"AWS_ACCESS_KEY_ID": "a", "AWS_S3_ALLOW_UNSAFE_RENAME": "true"},
        {"MYRIAD_WORKER_MEMORY": "2GB", "MYRIAD_WORKER_LIFETIME": "30m"},
    ],
)
def test_what_only_looks_like_a_contradiction_is_accepted(environment, variables):
    environment.update(variables)
    Settings()


def test_certificates_go_with_an_encrypted_address_only(environment, certificates):
    environment.update(TLS_ADDRESS, MYRIAD_DASK_TLS=certificates, MYRIAD_DASK_REQUIRE_TLS="true")
    assert str(Settings().tls_folder) == certificates
    assert error_lines(MYRIAD_DASK_ADDRESS="tcp://a:1", MYRIAD_DASK_REQUIRE_TLS="false") == [
        "MYRIAD_DASK_ADDRESS: tcp://a:1 is not encrypted, and MYRIAD_DASK_TLS is set; give tls://, or unset it"
    ]


def test_the_error_for_a_folder_without_certificates_names_the_missing_files(certificates, tmp_path):
    for name in TLS_FILES[1:]:
        (tmp_path / name).unlink()
    assert error_lines(**TLS_ADDRESS, MYRIAD_DASK_TLS=certificates) == [
        f"MYRIAD_DASK_TLS: {certificates} has no cert.pem, key.pem; `myriad tls {certificates}` makes them"
    ]


WRONG_VALUES = [
    ("MYRIAD_WORKERS", "many", "'many' is not allowed; give a whole number"),
    ("MYRIAD_WORKERS", "0", "'0' is not allowed; give at least 1"),
    ("MYRIAD_MIN_WORKERS", "-1", "'-1' is not allowed; give at least 0"),
    ("MYRIAD_DASK_REQUIRE_TLS", "maybe", "'maybe' is not allowed; give true or false"),
    ("MYRIAD_WORKER_MEMORY", "much", "'much' is not allowed; give a size such as 2GB, or auto"),
    (
        "MYRIAD_WORKER_MEMORY",
        "300MB",
        "'300MB' is not allowed; give at least 500MB, since a worker takes 350MB before its first task, or auto",
    ),
    ("MYRIAD_WORKER_LIFETIME", "long", "'long' is not allowed; give a time such as 30m or 2h"),
    ("MYRIAD_RETENTION_HOURS", "1", "'1' is not allowed; give at least 24"),
]


@pytest.mark.parametrize(("name", "value", "line"), WRONG_VALUES)
def test_a_wrong_value_is_one_line_that_names_variable_value_and_what_is_allowed(name, value, line):
    assert error_lines(**{name: value}) == [f"{name}: {line}"]


def test_several_wrong_values_are_a_line_each():
    wrong = {name: (value, line) for name, value, line in WRONG_VALUES}
    lines = error_lines(**{name: value for name, (value, _) in wrong.items()})
    assert sorted(lines) == sorted(f"{name}: {line}" for name, (_, line) in wrong.items())


def test_several_contradictions_are_a_line_each(tmp_path):
    lines = error_lines(
        **S3,
        **HTTP,
        **TLS_ADDRESS,
        MYRIAD_DASK_TLS=tmp_path,
        MYRIAD_MIN_WORKERS=9,
        MYRIAD_WORKERS=1,
        AWS_SECRET_ACCESS_KEY="b",
    )
    assert [line.split()[0] for line in lines] == [
        "MYRIAD_MIN_WORKERS:",
        "MYRIAD_DASK_TLS:",
        "AWS_ENDPOINT_URL:",
        "AWS_SECRET_ACCESS_KEY",
    ]


@pytest.mark.parametrize("own", [{}, {"MYRIAD_TRACKING_URI": ""}])
def test_the_tracking_uri_of_mlflow_is_used(environment, own):
    environment.update(own, MLFLOW_TRACKING_URI="http://mlflow:5000")
    settings = Settings()
    assert settings.mlflow_uri == "http://mlflow:5000"
    assert settings.mlflow_artifacts is None


def test_without_any_variable_everything_is_below_the_home(tmp_path):
    settings = Settings(home=tmp_path)
    assert settings.lake_uri == str(tmp_path / "var/lake")
    assert settings.mlflow_uri == f"sqlite:///{tmp_path}/var/mlflow/mlflow.db"
    assert settings.mlflow_artifacts == str(tmp_path / "var/mlflow/artifacts")
    assert settings.tls_folder is None


def test_env_sets_names_of_our_families_and_never_what_is_set_already(environment, tmp_path):
    environment["MYRIAD_LAKE"] = "s3://mine"
    before = dict(environment)
    (tmp_path / ".env").write_text(
        "MYRIAD_LAKE=s3://theirs\nMYRIAD_WORKERS=3\nexport AWS_REGION='eu-1'\nDASK_X=1\nMLFLOW_Y=${AWS_REGION}\n"
        "PREFECT_Z=\nPATH=/evil\nLD_PRELOAD=evil.so\nPYTHONPATH=/evil\nmyriad_workers=9\nMYRIAD_NONE\n# A=1\n"
    )
    load_environment(tmp_path)
    assert dict(environment) == before | {
        "MYRIAD_WORKERS": "3",
        "AWS_REGION": "eu-1",
        "DASK_X": "1",
        "MLFLOW_Y": "eu-1",
        "PREFECT_Z": "",
    }
    load_environment(tmp_path / "nowhere")

"""Check MLflow and Prefect servers over plain HTTP: reachable, supported version, valid account."""

import os

import httpx

from domain.checks.health import too_old
from domain.errors import SettingsError

__all__ = ["check_prefect", "check_tracking_server"]

_TIMEOUT_S = 8.0
LEAST_MLFLOW = (3, 0)
LEAST_PREFECT = (3, 8)
_REFUSED = {401, 403}


def check_tracking_server(uri: str) -> str:
    """Return the version of the MLflow server at an http(s):// address. Raises SettingsError if it is not usable."""
    server = f"MYRIAD_TRACKING_URI: the MLflow server at {uri}"
    user = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    auth = httpx.BasicAuth(*user) if user[0] and user[1] is not None else None  # type: ignore[arg-type]
    try:
        with httpx.Client(timeout=_TIMEOUT_S, auth=auth, headers=headers) as client:
            version = client.get(f"{uri.rstrip('/')}/version")
            if version.is_success and too_old(version.text.strip(), LEAST_MLFLOW):
                least = ".".join(map(str, LEAST_MLFLOW))
                raise SettingsError(
                    f"{server} has version {version.text.strip()}; {least} or later is needed, upgrade it"
                )
            response = client.post(f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search", json={"max_results": 1})
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise SettingsError(f"{server} does not answer: {exc or type(exc).__name__}; start it, or set another") from exc
    if response.status_code in _REFUSED:
        raise SettingsError(
            f"{server} refuses the account; MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD must be those of one "
            "that may write"
        )
    if not response.is_success:
        raise SettingsError(
            f"{server} answers {response.status_code} where MLflow's API should be; is it an MLflow server?"
        )
    return version.text.strip() if version.is_success else "unknown"


def check_prefect(api_url: str) -> str:
    """Return the version of the Prefect server. Raises SettingsError if it is not usable."""
    server = f"PREFECT_API_URL: the Prefect server at {api_url}"
    secret = os.environ.get("PREFECT_API_AUTH_STRING", "")
    user, _, password = secret.partition(":")
    key = os.environ.get("PREFECT_API_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx.Client(timeout=_TIMEOUT_S, auth=(user, password) if secret else None, headers=headers) as client:
            response = client.get(f"{api_url.rstrip('/')}/admin/version")
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise SettingsError(
            f"PREFECT_API_URL: no Prefect server answers at {api_url}: {exc or type(exc).__name__}; start it "
            "(myriad up), or unset the variable"
        ) from exc
    if response.status_code in _REFUSED:
        raise SettingsError(
            f"{server} refuses the account; set PREFECT_API_AUTH_STRING to its USER:PASSWORD, which is in "
            "var/run/prefect-auth for the server of `myriad up`"
        )
    if not response.is_success:
        raise SettingsError(f"{server} answers {response.status_code} where Prefect's API should be; end it with /api")
    version = str(response.json())
    if too_old(version, LEAST_PREFECT):
        least = ".".join(map(str, LEAST_PREFECT))
        raise SettingsError(f"{server} has version {version}; {least} or later is needed, upgrade it")
    return version

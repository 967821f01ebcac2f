"""Tokens of an identity provider open what their scopes are for; whatever is odd about one is refused and named."""

import base64
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from gateway import gateway

from adapters.gateway.jwks import TokenVerifier, check_place_of_keys
from adapters.settings import Settings
from domain.errors import GatewayError, RequestError, SettingsError
from domain.gateway.jwt_claims import TokenRules, rights_of
from serving.factory import open_dependencies

ENDPOINT = {"deployments": {"blue": {"fleet": "rides"}}, "default": "blue"}
RULES = TokenRules("https://id.example.org/", "myriad")
KEYS = {
    "rsa": (rsa.generate_private_key(65537, 2048), "RS256", jwt.algorithms.RSAAlgorithm),
    "ec": (ec.generate_private_key(ec.SECP256R1()), "ES256", jwt.algorithms.ECAlgorithm),
    "ed": (ed25519.Ed25519PrivateKey.generate(), "EdDSA", jwt.algorithms.OKPAlgorithm),
}


def key_set(*names):
    listed = [json.loads(KEYS[name][2].to_jwk(KEYS[name][0].public_key())) | {"kid": name} for name in names]
    return json.dumps({"keys": listed})


def token(name="rsa", kid=None, headers=None, algorithm=None, **changes):
    now = int(time.time())
    claims = {"iss": RULES.issuer, "aud": "myriad", "sub": "alice", "iat": now, "exp": now + 300}
    claims |= {"scope": "openid myriad:score"} | changes
    claims = {claim: value for claim, value in claims.items() if value is not None}
    private, usual, _ = KEYS[name]
    return jwt.encode(claims, private, algorithm or usual, headers={"kid": kid or name} | (headers or {}))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "keys.json").write_text(key_set(*KEYS))
    with gateway(folder) as found:
        found.client("operate").put("/v1/batch/rides", json=ENDPOINT)
        found.app.state.authenticator._tokens = TokenVerifier(RULES, str(folder / "keys.json"))
        yield found


def ask(made, text, path="/v1/batch/rides", method="GET", **given):
    return made.nobody.request(method, path, headers={"Authorization": f"Bearer {text}"}, **given)


def refused(answer, told):
    assert answer.status_code == 401, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("name", KEYS)
def test_a_token_of_any_usual_algorithm_is_taken(made, name):
    assert ask(made, token(name)).status_code == 200


def test_scopes_of_a_token_are_those_of_keys(made):
    answer = ask(made, token(), "/v1/batch/rides/jobs", "POST", json={})
    assert answer.status_code == 202, answer.text
    assert answer.json()["client"] == "jwt:alice"
    assert ask(made, token(scope=["myriad:read"])).status_code == 200
    denied = ask(made, token(scope=["myriad:read"]), "/v1/batch/rides/jobs", "POST", json={})
    assert denied.status_code == 403
    assert denied.json()["detail"] == "token of jwt:alice: the scope score is needed, it has: read"
    for scope in ("", "read score admin", "myriad:root", None):
        assert ask(made, token(scope=scope)).status_code == 403
    assert ask(made, token(scope="myriad:admin"), "/v1/audit").status_code == 200


def test_a_token_may_be_for_some_endpoints(made):
    assert ask(made, token(myriad_endpoints=["rides"])).status_code == 200
    assert ask(made, token(myriad_endpoints=["other"])).status_code == 403
    refused(ask(made, token(myriad_endpoints=[])), "it is for no endpoint")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"exp": 1_700_000_000}, "it expired 2023-11-14 22:13:20 UTC; get a new one"),
        ({"nbf": 4_000_000_000}, "a clock is wrong"),
        ({"iat": 4_000_000_000, "exp": 4_000_000_300}, "a clock is wrong"),
        ({"aud": "elsewhere"}, "`aud` is not myriad"),
        ({"aud": None}, "aud"),
        ({"iss": "https://evil.example.org/"}, "`iss` is not https://id.example.org/"),
        ({"sub": None}, "sub"),
        ({"exp": None}, "exp"),
        ({"scope": {"a": 1}}, "`scope` must be a text or a list of texts"),
        ({"kid": "unknown"}, "none of the issuer's"),
    ],
)
def test_a_token_that_does_not_hold_is_refused_with_the_reason(made, changes, told):
    refused(ask(made, token(**changes)), told)


def test_clocks_may_differ_by_a_minute(made):
    now = int(time.time())
    assert ask(made, token(exp=now - 50)).status_code == 200
    assert ask(made, token(nbf=now + 50, iat=now + 50)).status_code == 200
    refused(ask(made, token(exp=now - 70)), "it expired")
    refused(ask(made, token(nbf=now + 80)), "a clock is wrong")


def test_a_token_that_was_changed_or_signed_by_nobody_is_refused(made):
    head, body, mark = token(scope="myriad:read").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    more = base64.urlsafe_b64encode(json.dumps(claims | {"scope": "myriad:admin"}).encode()).decode().rstrip("=")
    refused(ask(made, f"{head}.{more}.{mark}"), "ignature")
    nobody = jwt.encode(claims, None, "none", headers={"kid": "rsa"}) + "AAAA"
    refused(ask(made, nobody), "algorithm 'none' is not taken")
    refused(ask(made, "abc.def.ghi"), "it cannot be read")
    # The public key as a shared secret: whoever takes HS256 here lets everybody in.
    shared = jwt.encode(claims, "x" * 40, "HS256", headers={"kid": "rsa"})
    refused(ask(made, shared), "algorithm 'HS256' is not taken")


def test_without_an_issuer_tokens_are_no_keys(tmp_path):
    with gateway(tmp_path) as plain:
        answer = ask(plain, token())
        assert answer.status_code == 401
        assert answer.json()["detail"] == "the key is not known"


@pytest.fixture
def issuer():
    """A provider whose keys change: `.content`, `.asked` times, `.status`."""
    state = SimpleNamespace(content=key_set("rsa"), asked=0, status=200)

    class Give(BaseHTTPRequestHandler):
        def do_GET(self):
            state.asked += 1
            self.send_response(state.status)
            self.end_headers()
            self.wfile.write(state.content.encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Give)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}/keys"
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def test_keys_are_asked_for_again_where_they_have_changed_but_not_for_each_nonsense(issuer):
    clock = SimpleNamespace(now=0.0)
    tokens = TokenVerifier(RULES, issuer.url, lambda: clock.now)
    assert tokens.rights(token()).client == "jwt:alice"
    issuer.content = key_set("rsa", "ec")
    for _ in range(5):
        with pytest.raises(RequestError, match="none of the issuer's"):
            tokens.rights(token("ec"))
    assert issuer.asked == 1
    clock.now = 31.0
    assert tokens.rights(token("ec")).client == "jwt:alice"
    assert issuer.asked == 2


def test_a_provider_that_is_away_locks_nobody_out_whose_key_is_known(issuer):
    clock = SimpleNamespace(now=0.0)
    tokens = TokenVerifier(RULES, issuer.url, lambda: clock.now)
    tokens.rights(token())
    issuer.status, clock.now = 500, 3600.0
    assert tokens.rights(token()).client == "jwt:alice"
    with pytest.raises(GatewayError, match="status 500"):
        TokenVerifier(RULES, issuer.url).rights(token())


@pytest.fixture
def silent():
    """The address of a provider that takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/keys"


def test_a_silent_provider_holds_nobody_up_for_long(silent):
    tokens = TokenVerifier(RULES, silent)
    tokens.start()
    begun = time.monotonic()
    with ThreadPoolExecutor(30) as pool:
        refusals = [pool.submit(tokens.rights, text) for text in ["a.b.c", token()] * 30]
        kinds = {type(refusal.exception()) for refusal in refusals}
    assert kinds == {RequestError, GatewayError}
    assert time.monotonic() - begun < 2.5


def test_a_failed_fetch_is_remembered(issuer):
    issuer.status, clock = 500, SimpleNamespace(now=0.0)
    tokens = TokenVerifier(RULES, issuer.url, lambda: clock.now)
    for _ in range(5):
        with pytest.raises(GatewayError, match="status 500"):
            tokens.rights(token())
    assert issuer.asked == 1
    issuer.status, clock.now = 200, 31.0
    assert tokens.rights(token()).client == "jwt:alice"


def weak_keys():
    weak = rsa.generate_private_key(65537, 1024).public_key()
    yield json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(weak)) | {"kid": "weak"}
    point = ec.generate_private_key(ec.SECP256K1()).public_key()
    yield json.loads(jwt.algorithms.ECAlgorithm.to_jwk(point)) | {"kid": "weak"}


@pytest.mark.parametrize("number", [0, 1])
def test_weak_keys_are_not_used_and_spoil_no_others(tmp_path, number):
    weak, place = list(weak_keys())[number], tmp_path / "keys.json"
    place.write_text(json.dumps({"keys": [weak]}))
    with pytest.raises(GatewayError, match=r"RSA with 1024 bits|curve secp256k1"):
        TokenVerifier(RULES, str(place)).rights(token())
    place.write_text(json.dumps({"keys": [weak, *json.loads(key_set("ec"))["keys"]]}))
    verifier = TokenVerifier(RULES, str(place))
    assert verifier.rights(token("ec")).client == "jwt:alice"
    with pytest.raises(RequestError, match="none of the issuer's"):
        verifier.rights(token(kid="weak"))


@pytest.mark.parametrize("subject", ["\ud800", "", 7, ["alice"], None])
def test_a_subject_that_is_no_text_is_refused(subject):
    with pytest.raises(RequestError, match="`sub`"):
        rights_of({"sub": subject}, RULES)


@pytest.mark.parametrize(("part", "content"), [("head", "[" * 5000), ("head", '"a"'), ("body", '{"exp": 1e400}')])
def test_contents_that_the_library_does_not_expect_are_refused(made, part, content):
    head, body, mark = token().split(".")
    text = base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")
    refused(ask(made, f"{text}.{body}.{mark}" if part == "head" else f"{head}.{text}.{mark}"), "token: ")


def test_a_signed_token_with_odd_times_is_refused(made):
    for odd in ({"exp": 1e400}, {"exp": "never"}, {"nbf": [1]}, {"iat": 1e400}, {"sub": 7}, {"sub": "\ud800"}):
        refused(ask(made, token(**odd)), "token: ")


@pytest.mark.parametrize("content", ["{", "[]", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}'])
def test_a_key_set_without_a_public_key_is_told(tmp_path, content):
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(GatewayError, match=r"MYRIAD_JWT_KEYS: .*keys\.json cannot be used"):
        TokenVerifier(RULES, str(tmp_path / "keys.json")).rights(token())


@pytest.mark.parametrize("place", ["http://id.example.org/keys", "ftp://a/b", "/nowhere/keys.json"])
def test_keys_that_somebody_could_change_on_the_way_are_refused(place):
    with pytest.raises(SettingsError, match="MYRIAD_JWT_KEYS"):
        check_place_of_keys(place)


def test_settings_of_tokens_go_together(tmp_path):
    with pytest.raises(SettingsError, match="MYRIAD_JWT_AUDIENCE, MYRIAD_JWT_KEYS: not set"):
        open_dependencies(
            Settings(home=tmp_path, lake=str(tmp_path / "lake"), jwt_issuer="x"), "http://127.0.0.1:9/api"
        )


def test_a_long_subject_still_has_a_name_that_the_database_takes():
    names = {rights_of({"sub": subject}, RULES).client for subject in ("a" * 200, "a" * 201, "a\n", "a")}
    assert len(names) == 4
    assert all(len(name) <= 64 and name.isprintable() for name in names)

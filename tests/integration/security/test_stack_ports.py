"""A local user without any key attacks every port and socket that the server stack opens."""

import http.server
import json
import os
import queue
import socket
import ssl
import stat
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

import distributed
import httpx
import psutil
import psycopg
import pytest
import s3fs
from scratch_stack import scratch_stack

from adapters.compute.tls import make_certificates
from adapters.local_stack.programs import executable
from domain.errors import SettingsError

SECRET = b"what only those with a key may read"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""Of HTTP/2 with empty settings: a gRPC server that lets a client in answers it with settings of its own."""
ATTACKS = [
    ("GET", "/"),
    ("GET", "/buckets/?pretty=y"),
    ("GET", "/buckets/myriad/attack/secret"),
    ("PUT", "/buckets/myriad/attack/planted"),
    ("POST", "/buckets/myriad/attack/planted"),
    ("DELETE", "/buckets/myriad/attack/secret?recursive=true"),
    ("GET", "/dir/assign"),
    ("GET", "/dir/status"),
    ("GET", "/dir/lookup?volumeId=1"),
    ("GET", "/col/delete?collection=myriad"),
    ("GET", "/vol/grow?count=1"),
    ("GET", "/vol/status"),
    ("GET", "/status"),
    ("GET", "/metrics"),
    ("GET", "/debug/pprof/"),
]
S3_ATTACKS = [
    ("GET", "/"),
    ("GET", "/myriad?list-type=2"),
    ("GET", "/myriad/attack/secret"),
    ("PUT", "/myriad/attack/planted"),
    ("PUT", "/stolen"),
    ("DELETE", "/myriad/attack/secret"),
    ("POST", "/myriad/attack/planted?uploads"),
    ("POST", "/myriad?delete"),
    ("PUT", "/myriad?acl"),
    ("PUT", "/myriad?policy"),
    ("POST", "/?Action=CreateUser&UserName=attacker&Version=2010-05-08"),
    ("POST", "/?Action=CreateAccessKey&UserName=admin&Version=2010-05-08"),
    ("POST", "/?Action=AssumeRole&RoleArn=arn:aws:iam::role/admin&RoleSessionName=x&Version=2011-06-15"),
    ("GET", "/metrics"),
    ("GET", "/debug/pprof/"),
]


@pytest.fixture(scope="module")
def stack():
    for program in ("postgres", "weed"):
        try:
            executable(program)
        except SettingsError as exc:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI=true, and {exc}")
            pytest.skip(str(exc))
    before = os.umask(0o022)
    try:
        events = {"S3_EVENTS": "true", "S3_EVENTS_KEY": "key-of-the-store", "S3_EVENTS_BELOW": "myriad/raw"}
        with scratch_stack(MYRIAD_WORKERS="1", **events) as made:
            yield made
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def storage(stack):
    client = stack.client_environment()
    storage = s3fs.S3FileSystem(
        key=client["AWS_ACCESS_KEY_ID"],
        secret=client["AWS_SECRET_ACCESS_KEY"],
        endpoint_url=client["AWS_ENDPOINT_URL"],
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    storage.pipe("myriad/attack/secret", SECRET)
    return storage


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A certificate of the attacker's own authority."""
    folder = tmp_path_factory.mktemp("attacker")
    make_certificates(folder, ["127.0.0.1"], 1)
    return folder


def family(stack, service):
    (pid,) = [entry.pid for entry in stack.entries() if entry.name == service]
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def listening(stack, service):
    """TCP ports that the processes of a service listen on."""
    ports = set()
    for process in family(stack, service):
        try:
            connections = process.net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        ports |= {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return ports


def inner_ports(stack):
    """Of SeaweedFS: all but the S3 port."""
    ports = listening(stack, "s3")
    return sorted(ports - {int(stack.variables["S3_PORT"])})


def tls_context(certificate=None):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    if certificate is not None:
        context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


def answers(port, method, path, scheme="http", certificate=None):
    """The answer to a request, or None if the connection was refused before there was one."""
    verify = tls_context(certificate) if scheme == "https" else True
    try:
        return httpx.request(method, f"{scheme}://127.0.0.1:{port}{path}", content=b"x", verify=verify, timeout=5)
    except httpx.TransportError:
        return None


def speaks_grpc(port, context):
    """Whether a gRPC server takes the connection: it then sends a frame of settings (type 4)."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.settimeout(5)
            with nullcontext(plain) if context is None else context.wrap_socket(plain) as connection:
                connection.sendall(PREFACE)
                head = connection.recv(9)
            return len(head) == 9 and head[3] == 4
    except OSError:
        return False


def test_whoever_has_the_keys_reads_writes_lists_and_deletes(storage):
    content = os.urandom(12_000_000)
    with storage.open("myriad/attack/parts", "wb", block_size=5 * 2**20) as stream:
        stream.write(content)
    assert storage.cat("myriad/attack/parts") == content
    storage.copy("myriad/attack/parts", "myriad/attack/copy")
    assert storage.info("myriad/attack/copy")["size"] == len(content)
    storage.rm(["myriad/attack/parts", "myriad/attack/copy"])
    assert storage.find("myriad/attack") == ["myriad/attack/secret"]


def test_inner_ports_of_the_store_give_nothing_to_strangers(stack, storage, strange):
    ports = inner_ports(stack)
    assert len(ports) >= 8, "HTTP and gRPC of master, volume server, filer and admin server"
    for port in ports:
        for method, path in ATTACKS:
            for scheme, certificate in (("http", None), ("https", None), ("https", strange)):
                answer = answers(port, method, path, scheme, certificate)
                assert answer is None or answer.status_code == 400, (port, method, path, scheme)
                assert answer is None or SECRET not in answer.content
    assert storage.find("myriad/attack") == ["myriad/attack/secret"]


def test_grpc_of_the_store_asks_for_a_certificate_of_its_own_authority(stack, strange):
    ours = stack.translation().folder("s3-tls")
    contexts = {"plain": None, "no certificate": tls_context(), "strange certificate": tls_context(strange)}
    for port in inner_ports(stack):
        taken = [name for name, context in contexts.items() if speaks_grpc(port, context)]
        assert taken == [], port
    # The attack is a real one: with the store's certificate it succeeds on every gRPC port.
    taken = [port for port in inner_ports(stack) if speaks_grpc(port, tls_context(ours))]
    assert len(taken) >= 4


def test_the_shell_of_the_store_works_with_its_certificate_only(stack, storage):
    with_flags = {}
    for word in family(stack, "s3")[0].cmdline():
        name, _, value = word.partition("=")
        with_flags[name] = value
    master, master_grpc = (with_flags[name] for name in ("-master.port", "-master.port.grpc"))
    filer, filer_grpc = (with_flags[name] for name in ("-filer.port", "-filer.port.grpc"))
    command = [
        executable("weed"),
        "shell",
        f"-master=127.0.0.1:{master}.{master_grpc}",
        f"-filer=127.0.0.1:{filer}.{filer_grpc}",
    ]
    ours = {key: value for key, value in family(stack, "s3")[0].environ().items() if key.startswith("WEED_")}

    def listed(variables):
        with subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"} | variables,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as shell:
            try:
                return shell.communicate("fs.ls /buckets/myriad/attack\n", timeout=10)[0]
            except subprocess.TimeoutExpired:
                shell.kill()  # It tries to connect for ever.
                return shell.communicate()[0]

    assert "secret" in listed(ours)
    assert "secret" not in listed({})


def test_the_s3_port_gives_nothing_without_a_key_and_nothing_to_web_pages(stack, storage):
    port = int(stack.variables["S3_PORT"])
    for method, path in S3_ATTACKS:
        answer = answers(port, method, path)
        assert answer is not None
        assert 400 <= answer.status_code < 500, (method, path, answer.status_code, answer.text)
        assert SECRET not in answer.content
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{port}"):
        asked = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        for method in ("OPTIONS", "GET"):
            answer = httpx.request(method, f"http://127.0.0.1:{port}/myriad/attack/secret", headers=asked)
            assert "access-control-allow-origin" not in answer.headers, (method, origin)
    wrong = s3fs.S3FileSystem(
        key="wrong", secret="wrong", endpoint_url=f"http://127.0.0.1:{port}", skip_instance_cache=True
    )
    with pytest.raises(PermissionError):
        wrong.ls("myriad")
    assert storage.cat("myriad/attack/secret") == SECRET
    assert storage.find("myriad/attack") == ["myriad/attack/secret"]


def reachable_by_others(path):
    """Whether another account may connect to a socket: it has to get through all folders, and may write to it."""
    folders_open = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
    return folders_open and bool(path.stat().st_mode & (stat.S_IWOTH | stat.S_IWGRP))


def test_no_other_account_can_use_the_unix_sockets_of_the_stack(stack):
    paths = set()
    for service in ("s3", "postgres", "prefect-worker", "gateway", "mlflow", "prefect-server"):
        for process in family(stack, service):
            try:
                paths |= {Path(each.laddr) for each in process.net_connections("unix") if each.laddr}
            except psutil.NoSuchProcess:
                continue
    paths = {path for path in paths if path.is_absolute() and path.exists()}
    assert len([path for path in paths if "seaweedfs" in path.name]) >= 5
    assert any(path.name.startswith(".s.PGSQL") for path in paths)
    # The one that speaks without certificates lies where nobody else can put one of its own.
    assert stack.translation().folder("s3") / "filer.sock" in paths
    assert [path for path in sorted(paths) if reachable_by_others(path)] == []


@contextmanager
def in_the_place_of_the_gateway(stack):
    """Messages that arrive at the gateway's port while the gateway is down: (path, key, body)."""
    messages = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.put((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(202)
            self.end_headers()

        def log_message(self, *_):
            pass

    stack.hold("gateway")
    end = time.monotonic() + 30
    while True:
        try:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", int(stack.variables["GATEWAY_PORT"])), Handler)
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield messages
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        stack.release("gateway")


def test_the_store_still_tells_the_gateway_of_files_that_land(stack, storage):
    with in_the_place_of_the_gateway(stack) as messages:
        storage.pipe("myriad/raw/landed.csv", b"a\n1\n")
        # One for the folder may come first.
        path, key, body = next(message for _ in range(5) if "landed.csv" in str(message := messages.get(timeout=60)))
    assert (path, key) == ("/v1/triggers/landing", "Bearer key-of-the-store")
    assert body["event_type"] == "create"


def test_databases_ask_for_a_password_from_everybody(stack):
    port = stack.variables["POSTGRES_PORT"]
    for user in ("myriad", "postgres", "gateway", "mlflow", "prefect", "runs", "operator"):
        for database in ("postgres", "gateway", "mlflow", "prefect"):
            for password in ("", user):
                address = f"host=127.0.0.1 port={port} user={user} dbname={database} connect_timeout=5"
                with pytest.raises(psycopg.OperationalError):
                    psycopg.connect(address, password=password).close()
    socket_folder = stack.translation().folder("postgres")
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host={socket_folder} port={port} user=myriad dbname=postgres").close()


def test_web_pages_of_other_origins_may_not_talk_to_prefect(stack):
    url = f"http://127.0.0.1:{stack.variables['PREFECT_PORT']}/api/health"
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in httpx.options(url, headers=asked).headers
    assert "access-control-allow-origin" not in httpx.get(url, headers=asked).headers
    ours = {"Origin": f"http://localhost:{stack.variables['PREFECT_PORT']}"}
    assert httpx.get(url, headers=ours).headers["access-control-allow-origin"] == ours["Origin"]


DASK_PATHS = ("/", "/status", "/info/main/workers.html", "/info/main/logs.html", "/json/identity.json", "/metrics")
DASK_PATHS += ("/api/v1/get_workers", "/proxy/80/127.0.0.1/", "/individual-plots.json")


def test_dask_takes_certificates_of_its_authority_only_and_tells_nothing_by_http(stack, strange):
    tls = stack.translation().folder("tls")
    address = f"tls://127.0.0.1:{stack.variables['DASK_PORT']}"

    def security(folder):
        files = {"tls_client_cert": str(folder / "cert.pem"), "tls_client_key": str(folder / "key.pem")}
        return distributed.Security(tls_ca_file=str(tls / "ca.pem"), require_encryption=True, **files)

    with pytest.raises(OSError):
        distributed.Client(address, security=security(strange), timeout=5)
    with pytest.raises(OSError):
        distributed.Client(address.replace("tls://", "tcp://"), timeout=5)
    with distributed.Client(address, security=security(tls), set_as_default=False) as client:
        assert client.submit(abs, -1, pure=False).result(timeout=120) == 1
        ports = listening(stack, "dask-scheduler") | listening(stack, "dask-workers")
        assert len(ports) >= 3, "of the scheduler, a worker and its nanny"
        for port in ports:
            for path in DASK_PATHS:
                answer = answers(port, "GET", path)
                assert answer is None or answer.status_code == 404, (port, path)

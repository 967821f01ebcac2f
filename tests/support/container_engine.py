"""The container engine of this machine, set up in a folder of its own: Debian's podman, with Docker Compose before it.

Nothing outside the folder is configured: networks and mounts aside, removing it removes all.
"""

import json
import os
import shutil
import signal
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

__all__ = ["PROGRAMS", "Engine", "Project", "missing_programs"]

PROGRAMS = ("podman", "runc", "conmon", "catatonit", "mmdebstrap", "iptables")
"""Of the Debian packages of the same names; `netavark` and `aardvark-dns` are packages too."""
NAME = "myriad-test"
_STAND_INS = {"postgres": "myriad-postgres:test", "s3": "myriad-s3:test"}
_SOCKETS = {"/var/run/postgresql"}
_DATA = Path(__file__).parents[1] / "data" / "containers"
_CONTAINERS_CONF = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
# `myriad:…` in docker-compose.yml is what was built here, not an image of some registry.
compat_api_enforce_docker_hub = false
helper_binaries_dir = ["/usr/lib/podman", "/usr/libexec/podman"]
[network]
network_backend = "netavark"
[containers]
init_path = "/usr/bin/catatonit"
log_driver = "k8s-file"
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
"""
# Never `vfs`, which copies every layer: tens of gigabytes.
_STORAGE_CONF = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/storage"\nrunroot = "{0}/run"\n'


def missing_programs() -> list[str]:
    """Return what a run in containers needs and this machine lacks, by name."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    missing += [] if os.geteuid() == 0 else ["root"]
    return missing + ([] if Path("/usr/lib/podman/netavark").exists() else ["netavark"])


class Engine:
    """Podman with its state below `folder`, which later runs use again: layers that did not change are not built."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "containers.conf").write_text(_CONTAINERS_CONF, encoding="utf-8")
        (self.folder / "storage.conf").write_text(_STORAGE_CONF.format(self.folder), encoding="utf-8")
        self.socket = self.folder / "podman.sock"
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "DOCKER_HOST": f"unix://{self.socket}",
        }

    def podman(self, *arguments: str | Path, check: bool = True, timeout: float = 900) -> str:
        """Run podman and return its output.

        Raises
        ------
        AssertionError
            If the command fails; with the end of its output.
        """
        command = ["podman", *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=timeout)
        assert not check or done.returncode == 0, f"{command}\n{(done.stdout + done.stderr)[-4000:]}"
        return done.stdout.strip()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve Docker's API at `socket`, and run the health checks, which else are systemd's, for the block."""
        self.socket.unlink(missing_ok=True)
        command = ["podman", "system", "service", "--time=0", f"unix://{self.socket}"]
        ended = threading.Event()
        with (self.folder / "service.log").open("w") as log:
            service = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            checks = threading.Thread(target=self._check_health, args=(ended,))
            try:
                end = time.monotonic() + 30
                while not self.socket.exists():
                    assert service.poll() is None, (self.folder / "service.log").read_text()
                    assert time.monotonic() < end, "podman's service does not start"
                    time.sleep(0.05)
                checks.start()
                yield
            finally:
                ended.set()
                checks.join()
                service.terminate()
                service.wait(30)

    def _check_health(self, ended: threading.Event) -> None:
        """Run every container's health check again and again."""
        while not ended.wait(1.0):
            names = self.podman("ps", "--format", "{{.Names}}\t{{.Status}}", check=False).splitlines()
            for name in [line.split("\t")[0] for line in names if "health" in line or "starting" in line]:
                with suppress(subprocess.TimeoutExpired):
                    self.podman("healthcheck", "run", name, check=False, timeout=60)

    def build_bases(self) -> None:
        """Make the images that stand in for those of registries: Python's, PostgreSQL's and SeaweedFS's."""
        if not self.exists("myriad-debian:test"):
            archive = self.folder / "debian.tar"
            packages = "python3,python3-venv,ca-certificates"
            command = ["mmdebstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(archive)]
            subprocess.run(command, check=True, capture_output=True, timeout=900)
            self.podman("import", archive, "myriad-debian:test")
            archive.unlink()
        context = self.folder / "context"
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(_DATA, context)
        shutil.copy("/etc/ssl/certs/ca-certificates.crt", context / "base")
        shutil.copy(Path(sysconfig.get_path("scripts")) / "weed", context / "s3")
        self.build(context / "base", "myriad-base:test")
        self.build(context / "postgres", "myriad-postgres:test")
        self.build(context / "s3", "myriad-s3:test")

    def build(self, context: Path, image: str, *, file: Path | None = None, **arguments: str) -> None:
        """Build an image. arguments : build arguments."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        where = ["--file", file] if file else []
        self.podman("build", "--quiet", "--network=host", *where, *given, "--tag", image, context, timeout=1500)

    def exists(self, image: str) -> bool:
        """Return whether there is such an image."""
        return bool(self.podman("images", "--quiet", f"localhost/{image}"))

    def size_mb(self, image: str) -> float:
        """Return the size of an image with all of its layers, in 10^6 bytes."""
        return int(self.podman("image", "inspect", "--format", "{{.Size}}", f"localhost/{image}")) / 1e6


class Project:
    """The stack of docker-compose.yml in containers, from a copy of the tree."""

    def __init__(self, engine: Engine, tree: Path, variables: Mapping[str, str], compose: Path) -> None:
        self.engine, self.tree, self.compose_program = engine, tree, compose
        self.variables = dict(variables)
        (tree / "docker-compose.override.yml").write_text(_override(tree), encoding="utf-8")

    def compose(self, *arguments: str, check: bool = True, timeout: float = 600) -> str:
        """Run `docker compose` and return its output."""
        environment = self.engine.environment | {"COMPOSE_PROJECT_NAME": NAME} | self.variables
        command = [str(self.compose_program), *arguments]
        done = subprocess.run(
            command, cwd=self.tree, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )
        assert not check or done.returncode == 0, f"{arguments}\n{(done.stdout + done.stderr)[-6000:]}"
        return done.stdout

    def up(self, version: str) -> float:
        """Start all services from the image of this version and wait until they are ready; returns seconds."""
        self.variables["MYRIAD_VERSION"] = version
        began = time.monotonic()
        self.compose("up", "--detach", "--wait", "--no-build", "--quiet-pull")
        return time.monotonic() - began

    def finished(self, service: str, limit_s: float = 120) -> None:
        """Wait until a service that ends has ended, without an error."""
        end = time.monotonic() + limit_s
        while (state := self._state(service))["Status"] != "exited":
            assert time.monotonic() < end, state
            time.sleep(0.5)
        assert state["ExitCode"] == 0, self.compose("logs", "--no-color", "--tail=40", service)

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """Run a command in the container of a service and return its output, errors too where it may fail."""
        done = self.begin(service, *command)
        output, _ = done.communicate(timeout=600)
        assert not check or done.returncode == 0, output[-4000:]
        return output

    def begin(self, service: str, *command: str) -> subprocess.Popen[str]:
        """Start a command in the container of a service."""
        started = ["podman", "exec", self.container(service), *command]
        pipe = subprocess.PIPE
        return subprocess.Popen(started, env=self.engine.environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)

    def kill(self, service: str) -> None:
        """Send SIGKILL to the first process of a container, as the kernel does when memory is out."""
        os.kill(self._state(service)["Pid"], signal.SIGKILL)

    def healthy(self, *services: str, limit_s: float = 120) -> None:
        """Wait until these run, and those that have a health check pass it."""
        end = time.monotonic() + limit_s
        for service in services:
            while True:
                state = self._state(service)
                health = state.get("Health", state.get("Healthcheck")) or {}
                if state["Status"] == "running" and health.get("Status", "") in ("", "healthy"):
                    break
                assert time.monotonic() < end, (service, state)
                time.sleep(0.5)

    def image(self, service: str) -> str:
        """Return name and tag of the image that a service runs."""
        return self.engine.podman("inspect", "--format", "{{.ImageName}}", self.container(service)).rpartition("/")[2]

    def container(self, service: str) -> str:
        """Return the name of a service's container."""
        return f"{NAME}-{service}-1"

    def _state(self, service: str) -> dict[str, Any]:
        text = self.engine.podman("inspect", "--format", "{{json .State}}", self.container(service))
        return dict(json.loads(text))


def _override(tree: Path) -> str:
    """Return what differs from docker-compose.yml: stand-ins of images, and the home on a volume.

    Podman 4.3 makes folders in memory that belong to root, whatever owner is asked for; a volume has the image's.
    """
    services = yaml.safe_load((tree / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    lines = ["services:"]
    for name, service in services.items():
        owned = {place.partition(":")[0] for place in service["tmpfs"] if ",uid=" in place}
        memory = [place for place in service["tmpfs"] if ",uid=" not in place]
        lines += [f"  {name}:", f"    tmpfs: !override {json.dumps(memory)}"]
        lines += [f"    volumes: {json.dumps(sorted(owned - _SOCKETS))}"] if owned - _SOCKETS else []
        lines += [f"    image: {_STAND_INS[name]}"] if name in _STAND_INS else []
    return "\n".join(lines) + "\n"

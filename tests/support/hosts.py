"""Hosts on one machine: network namespaces with an address each, which meet at a bridge in one more of them.

Nothing of it is seen outside: no name, link or address of this machine's own network is used. A namespace lives as long
as a process in it, and the processes die with the tests; so nothing stays behind, however these end.
"""

import shutil
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from adapters.compute.processes import die_with_parent, end_family

_PREFIX = "10.77.0"
_TRY = ["unshare", "--net", "ip", "link", "add", "one", "type", "veth", "peer", "name", "other"]
_LIMIT_S = 10.0


def lacking():
    """Why there can be no hosts here; empty where there can."""
    if missing := [name for name in ("ip", "unshare", "nsenter") if not shutil.which(name)]:
        return f"no {', '.join(missing)}: install iproute2 and util-linux"
    done = subprocess.run(_TRY, capture_output=True, text=True)
    return f"no network namespaces, which are for root alone: {done.stderr.strip()}" if done.returncode else ""


class Host:
    """One of them. address : its only one besides 127.0.0.1."""

    def __init__(self, number, holder, switch):
        self.address = f"{_PREFIX}.{number}"
        self._enter = ["nsenter", f"--net=/proc/{holder.pid}/ns/net"]
        self._port, self._switch = f"port{number}", switch
        self._started = []
        self._do("ip", "link", "set", "lo", "up")
        switch("ip", "link", "add", self._port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        switch("ip", "link", "set", self._port, "master", "bridge", "up")
        self._do("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self._do("ip", "link", "set", "eth0", "up")

    def start(self, *command, **options):
        """Popen of a command on this host; ended with the hosts."""
        process = subprocess.Popen([*self._enter, *command], preexec_fn=die_with_parent, **options)
        self._started.append(process)
        return process

    def cut(self):
        """Pull the cable: what runs here goes on, and nobody is told."""
        self._switch("ip", "link", "set", self._port, "down")

    def mend(self):
        self._switch("ip", "link", "set", self._port, "up")

    def end(self):
        for process in self._started:
            if process.poll() is None:
                end_family(psutil.Process(process.pid), 0.0)
            process.wait()
            for stream in filter(None, (process.stdin, process.stdout, process.stderr)):
                stream.close()

    def _do(self, *command):
        subprocess.run([*self._enter, *command], check=True)


@contextmanager
def hosts(*names):
    """name -> Host for the block, in one network."""
    with ExitStack() as stack:
        bridge = stack.enter_context(_namespace())

        def switch(*command):
            subprocess.run(["nsenter", f"--net=/proc/{bridge.pid}/ns/net", *command], check=True)

        switch("ip", "link", "add", "bridge", "type", "bridge")
        switch("ip", "link", "set", "bridge", "up")
        found = {}
        for number, name in enumerate(names, start=1):
            found[name] = Host(number, stack.enter_context(_namespace()), switch)
            stack.callback(found[name].end)
        yield found


@contextmanager
def _namespace():
    """A process that keeps a namespace of its own."""
    process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"], preexec_fn=die_with_parent)
    try:
        _await_entry(process)
        yield process
    finally:
        process.kill()
        process.wait()


def _await_entry(process):
    ours, end = Path("/proc/self/ns/net").readlink(), time.monotonic() + _LIMIT_S
    while Path(f"/proc/{process.pid}/ns/net").readlink() == ours:
        assert process.poll() is None, "unshare has failed"
        assert time.monotonic() < end, "no namespace of its own"
        time.sleep(0.01)

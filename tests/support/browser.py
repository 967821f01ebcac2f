"""A headless Chromium, spoken to by its DevTools protocol over loopback."""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from websockets.sync.client import connect

_START_S = 30.0


def chromium():
    """Path of the browser; skips the test without one, and fails it in CI."""
    found = next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
    )
    if not found and os.environ.get("CI") == "true":
        pytest.fail("CI=true, and Chromium is missing: install the system package chromium")
    if not found:
        pytest.skip("no Chromium: install the system package chromium to look at pages")
    return found


class Browser:
    """One tab. events : what the protocol told besides answers, in order."""

    def __enter__(self):
        self._folder = tempfile.mkdtemp()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
        flags += ["--remote-debugging-port=0", f"--user-data-dir={self._folder}", "--no-first-run"]
        self._process = subprocess.Popen(
            [chromium(), *flags, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._socket = connect(self._address(), max_size=None)
        self._sent, self.events = 0, []
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        self._socket.close()
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _address(self):
        """Of the first tab, once the browser is up."""
        port, end = Path(self._folder) / "DevToolsActivePort", time.monotonic() + _START_S
        while time.monotonic() < end:
            assert self._process.poll() is None, "Chromium ended at once"
            if port.exists() and (lines := port.read_text().split()):
                with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json", timeout=5) as answer:
                    if tabs := [tab for tab in json.load(answer) if tab["type"] == "page"]:
                        return tabs[0]["webSocketDebuggerUrl"]
            time.sleep(0.05)
        raise AssertionError("Chromium did not start")

    def send(self, method, **parameters):
        """Call a method of the protocol; its result."""
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=30))
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return message["result"]
            self.events.append(message)

    def open(self, path, *, width=1240, scheme="light", media=""):
        """Load a page, by its path or its url, and wait until it is there."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)
        phone = width < 600
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
        self.events.clear()
        self.send("Page.navigate", url=str(path) if "://" in str(path) else Path(path).as_uri())
        end = time.monotonic() + _START_S
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            assert time.monotonic() < end, f"{path} did not load"
            self.run("1")

    def wait(self, script, limit_s=30.0):
        """Wait until an expression is true in the page; its value."""
        end = time.monotonic() + limit_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"{script}: {self.run('document.body.innerText')}"
            time.sleep(0.1)
        return value

    def enter(self, selector, text):
        """Type a text into a field, and press Enter."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        self.send("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
            )

    def run(self, script):
        """Value of a JavaScript expression in the page."""
        return self.send("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self, path, *, top=0, height=None):
        """Write a PNG of the page, all of it by default."""
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": height or size["height"] - top, "scale": 1}
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

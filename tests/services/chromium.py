"""A real browser without a window, driven by the DevTools protocol over a pipe: no package, no port, no network."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ANSWER_S = 60.0
"""A browser on a busy machine may take its time; one that is gone never answers."""

_FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--mute-audio",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-pipe",
)


class Page:
    """One tab. What it asked for and complained of is kept from the moment it was opened."""

    def __init__(self, writes: int, reads: int) -> None:
        self._writes, self._reads = writes, reads
        self._rest, self._requested, self._session = b"", 0, ""
        self.requests: list[str] = []
        """Addresses that were asked for, the page's own included."""
        self.complaints: list[str] = []
        """Errors and warnings of the console, exceptions, and what the browser itself put on record."""
        self._loaded = False

    def open_tab(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to `method`. Raises `RuntimeError` where it refuses, `TimeoutError` where it is silent."""
        self._requested += 1
        request = {"id": self._requested, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._writes, json.dumps(request).encode() + b"\0")
        asked = self._requested
        until_s = time.monotonic() + ANSWER_S
        while True:
            answer = self._next(until_s, method)
            if answer.get("id") == asked:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                found: dict[str, Any] = answer["result"]
                return found

    def show(
        self, path: Path, width: int = 1280, height: int = 900, scheme: str = "light", scripts: bool = True
    ) -> None:
        """Open a file, and wait until it is there whole."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        until_s = time.monotonic() + ANSWER_S
        while not self._loaded:
            self._next(until_s, "Page.navigate")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press and let go of a key, as a person does."""
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.call("Input.dispatchKeyEvent", key=key, code=key, windowsVirtualKeyCode=code, **down)
        self.call("Input.dispatchKeyEvent", key=key, code=key, windowsVirtualKeyCode=code, type="keyUp")

    def picture(self, path: Path) -> None:
        """A picture of the whole page as a PNG file."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self, until_s: float, waiting_for: str) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([self._reads], [], [], left_s)[0]:
                raise TimeoutError(f"the browser is silent after {waiting_for}")
            if not (part := os.read(self._reads, 2**16)):
                raise TimeoutError(f"the browser has gone after {waiting_for}")
            self._rest += part
        raw, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(raw)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, parameters: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(f"{parameters['entry']['level']}: {parameters['entry']['text']}")
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(str(parameters["args"]))


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A tab of a browser of its own, which is gone afterwards with everything that it has written."""
    assert PROGRAM is not None, "no Chromium on this machine"
    home = tempfile.mkdtemp(prefix="chromium-")
    to_browser, from_browser = os.pipe(), os.pipe()
    # Chromium reads from 3 and writes to 4: ours must not lie there while they are put in place.
    reads, writes = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (to_browser[0], from_browser[1]))
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, reads, 3),
        (os.POSIX_SPAWN_DUP2, writes, 4),
    ]
    command = [PROGRAM, *_FLAGS, f"--user-data-dir={home}", "about:blank"]
    process = os.posix_spawn(PROGRAM, command, dict(os.environ) | {"HOME": home}, file_actions=actions, setsid=True)
    for end in (reads, writes, to_browser[0], from_browser[1]):
        os.close(end)
    try:
        page = Page(to_browser[1], from_browser[0])
        page.open_tab()
        yield page
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)  # a group of its own: setsid above
        os.waitpid(process, 0)
        os.close(to_browser[1])
        os.close(from_browser[0])
        shutil.rmtree(home, ignore_errors=True)

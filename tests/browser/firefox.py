"""Debian's Firefox, driven by WebDriver BiDi (W3C), which it speaks by itself: no driver program stands in between."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from websockets.sync.client import ClientConnection, connect

FIREFOX = "/usr/bin/firefox-esr"
PATIENCE_S = 60.0
_LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
ENTER = "\ue007"  # WebDriver's name of the key


class Firefox:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.complaints: list[str] = []
        self.call("session.new", capabilities={})
        self.call("session.subscribe", events=["log.entryAdded"])

    def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            said = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self.complaints.append(str(said["params"]["text"]))
            if said.get("id") == number:
                assert said["type"] == "success", said
                return said["result"]

    def open_window(self) -> Tab:
        """A window with cookies of its own."""
        user = self.call("browser.createUserContext")["userContext"]
        return self.open_tab(user)

    def open_tab(self, user: str) -> Tab:
        return Tab(self, self.call("browsingContext.create", type="tab", userContext=user)["context"], user)


class Tab:
    def __init__(self, firefox: Firefox, context: str, user: str) -> None:
        self.firefox = firefox
        self.context = context
        self.user = user

    def goto(self, url: str) -> None:
        self.firefox.call("browsingContext.navigate", context=self.context, url=url, wait="complete")

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.firefox.call(
            "script.evaluate", expression=expression, target={"context": self.context}, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        give_up_at = time.monotonic() + PATIENCE_S
        while not self.run(f"Boolean({expression})"):
            assert time.monotonic() < give_up_at, f"never so in Firefox: {expression}"
            time.sleep(0.05)

    def sees(self, text: str) -> None:
        self.wait_for(f"document.body && document.body.innerText.includes({json.dumps(text)})")

    def click(self, selector: str) -> None:
        """With the pointer, in the middle of the first that fits."""
        self.wait_for(f"document.querySelector({json.dumps(selector)})")
        self.run(
            f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center', behavior: 'instant'}})"
        )
        found = self.firefox.call(
            "browsingContext.locateNodes",
            context=self.context,
            locator={"type": "css", "value": selector},
            maxNodeCount=1,
        )
        element = {"type": "element", "element": {"sharedId": found["nodes"][0]["sharedId"]}}
        press: list[dict[str, Any]] = [{"type": "pointerMove", "x": 0, "y": 0, "origin": element}]
        press += [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": press})

    def type(self, selector: str, text: str) -> None:
        self.click(selector)
        keys = [{"type": kind, "value": letter} for letter in text for kind in ("keyDown", "keyUp")]
        self._act({"type": "key", "id": "keyboard", "actions": keys})

    def _act(self, *sources: dict[str, Any]) -> None:
        self.firefox.call("input.performActions", context=self.context, actions=list(sources))


@contextmanager
def running_firefox() -> Iterator[Firefox]:
    with tempfile.TemporaryDirectory() as profile:
        command = [FIREFOX, "--headless", "--no-remote", "--remote-debugging-port", "0", "--profile", profile]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert process.stderr is not None
        try:
            for line in process.stderr:
                if found := _LISTENS.search(line):
                    break
            with connect(f"{found[1]}/session", max_size=None) as socket:  # type: ignore[index]
                yield Firefox(socket)
        finally:
            process.terminate()
            process.wait(30)

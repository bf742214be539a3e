"""A page in headless Chromium, through the pipe of its DevTools protocol: messages of JSON, each
with a NUL behind it. Nothing listens on a port, and time is the real one."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time

PATIENCE_S = 60


class Browser:
    """One tab. Use it as a context: at the end, the browser is gone."""

    def __init__(self, width=1280, height=1240, dark=False):
        program = shutil.which("chromium")
        if program is None:
            raise SystemExit("chromium is missing: apt-get install chromium (scripts/common.sh)")
        self.scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()
        # It reads from descriptor 3 and writes to 4; the shell puts them there.
        command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                   "--remote-debugging-pipe", f"--user-data-dir={self.scratch.name}",
                   f"--window-size={width},{height}", "about:blank"]
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "sh", *command],
            pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.unread = b""
        self.number = 0
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"]
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.out)
        os.close(self.into)
        self.process.terminate()
        self.process.wait()
        self.scratch.cleanup()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") != self.number:
                continue  # an event
            if "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            return answer["result"]

    def read(self):
        while b"\0" not in self.unread:
            piece = os.read(self.into, 1 << 20)
            if not piece:
                raise RuntimeError("chromium has ended")
            self.unread += piece
        message, self.unread = self.unread.split(b"\0", 1)
        return json.loads(message)

    def open(self, url):
        self.call("Page.navigate", url=url)

    def evaluate(self, script):
        """The value of an expression of JavaScript."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, script, wanted):
        """Until the expression has the value; what it has when patience is at its end."""
        end = time.monotonic() + PATIENCE_S
        value = self.evaluate(script)
        while value != wanted and time.monotonic() < end:
            time.sleep(0.1)
            value = self.evaluate(script)
        return value

    def screenshot(self, path):
        picture = self.call("Page.captureScreenshot", format="png")["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture))

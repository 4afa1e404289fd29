"""A page in a real browser."""

import json
from pathlib import Path
from typing import Any


class Opened:
    """A page in the browser."""

    def __init__(self, browser: Any, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.browser = browser
        browser.get("about:blank")  # leaves the browser's own first page
        browser.get_log("browser")
        browser.get_log("performance")
        browser.get(path.as_uri())

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def type(self, css: str, text: str) -> None:
        """Set a field as a person would, with all events."""
        self.js(
            "const field = document.querySelector(arguments[0]); field.value = arguments[1];"
            "field.dispatchEvent(new Event('input', {bubbles: true}))",
            css,
            text,
        )

    def click(self, css: str) -> None:
        self.js("document.querySelector(arguments[0]).click()", css)

    def column(self, css: str) -> list[str]:
        cells: list[str] = self.js(
            "return [...document.querySelectorAll('#table tbody ' + arguments[0])]"
            ".map(cell => cell.textContent)",
            css,
        )
        return cells

    @property
    def status(self) -> str:
        return str(self.js("return document.getElementById('found').textContent"))

    @property
    def requested(self) -> set[str]:
        """The schemes of the URLs that were requested."""
        messages = (
            json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")
        )
        return {
            message["params"]["request"]["url"].partition(":")[0]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }

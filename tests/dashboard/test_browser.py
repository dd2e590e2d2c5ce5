"""The pages in a real browser, where Chromium is installed.

What a script breaks or a content policy blocks is seen here and nowhere else.
"""

import contextlib
import html
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from tests import factories
from tests.dashboard._scene import BUDGET, HOSTILE, POLICY, Scene, exception
from webhook.policy.model.problems import PolicyProblem
from webhook.serve import dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="chromium is not installed; with it, these tests look at the pages in a browser"
)
PATIENCE_SECONDS = 120


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve pages of a scene whose names and messages mean harm; return where."""
    problem = PolicyProblem(HOSTILE, 3, 1, HOSTILE, HOSTILE, HOSTILE)
    scene = Scene(POLICY, BUDGET, exception(), problems=[problem], notices=[HOSTILE]).busy()
    scene.create(factories.safe_pod(metadata={"name": HOSTILE}), user=HOSTILE, namespace=HOSTILE)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        app = dashboard.application(scene.sources, "127.0.0.1")
        server = _Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


def browse(directory: Path, address: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"]
    command += [f"--user-data-dir={directory / 'profile'}", "--virtual-time-budget=3000", *flags, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)  # noqa: S603


def dom(directory: Path, address: str) -> str:
    """Return a page as it is once its script has run."""
    ran = browse(directory, address, "--dump-dom")
    said = [line for line in ran.stderr.splitlines() if ":CONSOLE" in line]
    assert said == []
    return ran.stdout


def size_and_colour(path: Path) -> tuple[int, int, tuple[int, int, int]]:
    """Return width and height of a PNG, and the colour of the last pixel of its first row."""
    content = path.read_bytes()
    width, height, depth, kind = struct.unpack(">IIBB", content[16:26])
    assert depth == 8
    data, at = b"", 8
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        if content[at + 4 : at + 8] == b"IDAT":
            data += content[at + 8 : at + 8 + length]
        at += length + 12
    channels = 4 if kind == 6 else 3
    row = zlib.decompressobj().decompress(data, 1 + width * channels)
    pixels = bytearray(row[1:])
    if row[0] in (1, 4):
        # Sub; in the first row Paeth comes to the same.
        for index in range(channels, len(pixels)):
            pixels[index] = (pixels[index] + pixels[index - channels]) % 256
    elif row[0] == 3:
        for index in range(channels, len(pixels)):
            pixels[index] = (pixels[index] + pixels[index - channels] // 2) % 256
    red, green, blue = pixels[-channels:][:3]
    return width, height, (red, green, blue)


def test_hostile_names_run_nothing_and_the_script_is_at_work(tmp_path: Path, address: str) -> None:
    for path in ("/", "/workloads"):
        text = dom(tmp_path, address + path)
        assert "data-broken" not in text
        assert 'class="sort"' in text
        assert "Renewed every 10 s" in text
        assert "alert(1)" in html.unescape(re.sub("<[^>]*>", "", text))
    assert 'id="filter-findings/0"' in dom(tmp_path, address)


def cells(text: str) -> list[str]:
    """Return the words of every cell of every table."""
    found = re.findall(r"<td[^>]*>(.*?)</td>", text, re.DOTALL)
    return sorted(" ".join(html.unescape(re.sub("<[^>]*>", "", cell)).split()) for cell in found)


def test_the_script_adds_no_fact_and_hides_none(tmp_path: Path, address: str) -> None:
    for path in ("/", "/workloads"):
        served = cells(httpx.get(address + path).text)
        assert len(served) > 20
        assert cells(dom(tmp_path, address + path)) == served


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
@pytest.mark.parametrize("width", [1280, 500])
def test_a_page_is_drawn_in_both_schemes_and_widths(
    tmp_path: Path, address: str, scheme: str, is_dark: bool, width: int
) -> None:
    picture = tmp_path / "page.png"
    flags = [f"--screenshot={picture}", f"--window-size={width},1400", "--hide-scrollbars"]
    if is_dark:
        flags.append("--blink-settings=preferredColorScheme=0")
    browse(tmp_path, address, *flags)
    found, _, colour = size_and_colour(picture)
    assert found == width
    assert (sum(colour) < 3 * 128) is is_dark

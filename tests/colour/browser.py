"""What Chromium makes of pictures: their pixels as its canvas gives them, upright, sRGB, over white.

A page in a headless Chromium fetches one picture after the other from a server on 127.0.0.1, draws each on a canvas,
and posts the pixels back. Nothing else is needed: no driver, no debugging port.
"""

import shutil
import struct
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome")
# A canvas has so many pixels at the most; a larger picture is drawn smaller.
MOST_PIXELS = 16_000_000
_PAGE = """<!doctype html><script>
function loaded(number) {
  return new Promise(resolve => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => resolve(null);
    setTimeout(() => resolve(null), 30000);
    image.src = "/picture/" + number;
  });
}
async function pixels(number) {
  const image = await loaded(number);
  if (!image || !image.naturalWidth) return new ArrayBuffer(0);
  let whole = 1;
  try { await image.decode(); } catch { whole = 0; }
  const canvas = document.createElement("canvas");
  const share = Math.min(1, Math.sqrt(MOST_PIXELS / (image.naturalWidth * image.naturalHeight)));
  canvas.width = Math.max(1, Math.round(image.naturalWidth * share));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * share));
  const context = canvas.getContext("2d", {willReadFrequently: true});
  context.imageSmoothingQuality = "high";
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  try { context.drawImage(image, 0, 0, canvas.width, canvas.height); } catch { return new ArrayBuffer(0); }
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const answer = new Uint8Array(12 + data.length);
  new DataView(answer.buffer).setUint32(0, canvas.width);
  new DataView(answer.buffer).setUint32(4, canvas.height);
  new DataView(answer.buffer).setUint32(8, whole);
  answer.set(data, 12);
  return answer;
}
async function all(count) {
  for (let number = 0; number < count; number++)
    await fetch("/pixels/" + number, {method: "POST", body: await pixels(number)});
  await fetch("/end", {method: "POST", body: ""});
}
all(COUNT);
</script>""".replace("MOST_PIXELS", str(MOST_PIXELS))


@dataclass(frozen=True)
class Shown:
    """A picture as Chromium shows it: RGB, (h, w, 3). ``whole``: Chromium could read it to its end."""

    pixels: np.ndarray
    whole: bool

    @property
    def blank(self):
        """Whether nothing is drawn, or all of it white."""
        return self.pixels.min() == 255


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Say nothing of connections that the ending browser drops."""


def program():
    """The path of an installed Chromium, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def decode(files, *, wait_s=300):
    """Return the RGB pixels of each file, or None where Chromium cannot read it to its end. Raises TimeoutError."""
    return [shown.pixels if shown and shown.whole else None for shown in show(files, wait_s=wait_s)]


def show(files, *, wait_s=300):
    """Return what Chromium shows of each file, or None. Raises TimeoutError."""
    shown, finished = [None] * len(files), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            kind, _, number = self.path[1:].partition("/")
            body = (
                files[int(number)]
                if kind == "picture"
                else _PAGE.replace("COUNT", str(len(files))).encode()
                if not kind
                else b""
            )
            self._answer(body, "text/html" if not kind else "application/octet-stream" if kind != "picture" else "")

        def do_POST(self):
            data = self.rfile.read(int(self.headers["Content-Length"]))
            kind, _, number = self.path[1:].partition("/")
            if kind == "end":
                finished.set()
            elif data:
                width, height, whole = struct.unpack(">III", data[:12])
                pixels = np.frombuffer(data, np.uint8, offset=12).reshape(height, width, 4)[..., :3]
                shown[int(number)] = Shown(pixels, bool(whole))
            self._answer(b"", "text/plain")

        def _answer(self, body, kind):
            self.send_response(200)
            if kind:
                self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with _Server(("127.0.0.1", 0), Handler) as server, tempfile.TemporaryDirectory() as folder:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = (
            "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--force-color-profile=srgb",
            "--disable-dev-shm-usage", "--disable-background-networking", f"--user-data-dir={folder}",
        )  # fmt: skip
        page = f"http://127.0.0.1:{server.server_port}/"
        browser = subprocess.Popen(
            [program(), *options, page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            if not finished.wait(wait_s):
                message = f"Chromium did not finish in {wait_s} s"
                raise TimeoutError(message)
        finally:
            browser.terminate()
            try:
                browser.wait(10)
            except subprocess.TimeoutExpired:
                browser.kill()
                browser.wait()
            server.shutdown()
    return shown


def version():
    """Return Chromium's name and version."""
    ended = subprocess.run([program(), "--version"], capture_output=True, text=True, check=True)
    return " ".join(ended.stdout.split()[:2])

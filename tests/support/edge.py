"""The real nginx with the configuration of infra/edge/nginx, over a bucket of the real S3 server."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from nightlight.cli.embedded import free_port
from nightlight_core.decisions.placeholder import placeholder_bytes
from tests.support.services import S3_SERVICE, identity, missing_tool
from tests.support.waiting import HANG_S

EDGE = Path(__file__).parents[2] / "infra/edge/nginx"
BINARY = "/usr/sbin/nginx"
MODULE = Path("/usr/lib/nginx/modules/ngx_http_js_module.so")
PURGE_TOKEN = "purge-secret"


class Nginx:
    """A real nginx in a folder of its own, with one worker; use it as a context."""

    def __init__(self, folder):
        if not (Path(BINARY).exists() and MODULE.exists()):
            missing_tool("nginx with njs")
        self.folder, self._port = folder, free_port()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self, http, env="", environment=None):
        """Run with ``http`` inside of `http { }`; return once it answers."""
        user = "user root;\n" if os.getuid() == 0 else ""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "nginx.conf").write_text(
            f"load_module {MODULE};\n{user}{env}daemon off;\nworker_processes 1;\npid {self.folder}/pid;\n"
            f"error_log {self.folder}/error.log warn;\nevents {{}}\nhttp {{\n"
            f"client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;\n"
            f"fastcgi_temp_path {self.folder}/f; uwsgi_temp_path {self.folder}/u; scgi_temp_path {self.folder}/s;\n"
            f"{http}\n}}\n"
        )
        command = [BINARY, "-p", self.folder, "-c", self.folder / "nginx.conf", "-e", self.folder / "start.log"]
        self._process = subprocess.Popen(command, env={**os.environ, **(environment or {})})
        end = time.monotonic() + HANG_S
        while True:
            try:
                httpx.get(self.url)
            except httpx.HTTPError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.folder / "start.log").read_text() + self.errors()) from None
                time.sleep(0.02)
            else:
                return

    @property
    def worker(self):
        """The pid of the process that answers."""
        pid = self._process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(HANG_S)

    def errors(self):
        path = self.folder / "error.log"
        return path.read_text() if path.exists() else ""


class Plain(Nginx):
    """nginx that serves a file under its path."""

    def __init__(self, folder, key, data):
        super().__init__(folder)
        self._key, self._data = key, data

    def __enter__(self):
        path = self.folder / "root" / self._key
        path.parent.mkdir(parents=True)
        path.write_bytes(self._data)
        self.start(
            f"server {{ listen 127.0.0.1:{self._port}; root {self.folder}/root; access_log {self.folder}/access.log; "
            "location = / { return 204; } types { image/webp webp; } }"
        )
        return self


class Edge(Nginx):
    """nginx as infra/edge/nginx configures it."""

    def __init__(self, folder, buckets, keys, *, address=None, list_age_s=3600, keys_file=""):
        super().__init__(folder)
        self._listed = list_age_s not in {0, ""}
        s3 = urlsplit(buckets.endpoint)
        self.log = folder / "access.log"
        access, secret = identity(S3_SERVICE)
        self._environment = {
            "NIGHTLIGHT_DELIVERY_SIGNING_KEYS": keys,
            "NIGHTLIGHT_STORE_ACCESS_KEY_ID": access,
            "NIGHTLIGHT_STORE_SECRET_ACCESS_KEY": secret,
            "NIGHTLIGHT_STORE_REGION": "us-east-1",
            "NIGHTLIGHT_EDGE_S3_HOST": s3.netloc,
            "NIGHTLIGHT_EDGE_PURGE_TOKEN": PURGE_TOKEN,
            "NIGHTLIGHT_EDGE_CACHE": str(folder / "cache"),
            "NIGHTLIGHT_EDGE_LIST_AGE_S": str(list_age_s),
            "NIGHTLIGHT_EDGE_KEYS_FILE": str(keys_file),
        }
        self._filled = {
            **self._environment,
            "NIGHTLIGHT_EDGE_JS": str(EDGE),
            "NIGHTLIGHT_EDGE_CACHE_SIZE": "50m",
            "NIGHTLIGHT_EDGE_SOCKET": str(folder / "checked.sock"),
            "NIGHTLIGHT_EDGE_S3_ADDRESS": address or s3.netloc,
            "NIGHTLIGHT_EDGE_BUCKET": buckets.renditions,
            "NIGHTLIGHT_EDGE_LISTEN": f"127.0.0.1:{self._port}",
            "NIGHTLIGHT_EDGE_LOG": str(self.log),
            "NIGHTLIGHT_EDGE_PLACEHOLDER": str(folder / "placeholder"),
            "NIGHTLIGHT_EDGE_HEADERS": str(EDGE / "headers.conf"),
        }

    def __enter__(self):
        (self.folder / "placeholder").mkdir(parents=True)
        (self.folder / "cache/revoked/a").mkdir(parents=True)
        (self.folder / "placeholder/placeholder.webp").write_bytes(placeholder_bytes())
        template = (EDGE / "nightlight.conf.template").read_text()
        site = re.sub(r"\$\{([A-Z0-9_]+)\}", lambda variable: self._filled.get(variable[1], variable[0]), template)
        (self.folder / "site.conf").write_text(site)
        env = "".join(f"env {name};\n" for name in self._environment)
        self.start(f"include {self.folder}/site.conf;", env, self._environment)
        if self._listed:
            assert self.tell(at=int(time.time())).status_code == 204
        return self

    def tell(self, paths=(), **more):
        """Post to the hook what a publisher of revocations would."""
        body = {"paths": list(paths), **more}
        return httpx.post(f"{self.url}/purge", json=body, headers={"Authorization": f"Bearer {PURGE_TOKEN}"})

    def __exit__(self, *_):
        super().__exit__()
        shutil.rmtree(self.folder / "cache", ignore_errors=True)

    def statuses(self):
        """(status, what the cache of URLs said, what the cache of pictures said) of every request so far."""
        # Its one process writes the line of a request before it takes the next one: this one, which counts for nothing.
        httpx.request("TRACE", self.url)
        requests = [tuple(line.split()[1:4]) for line in self.log.read_text().splitlines()]
        return [request for request in requests if request[0] not in {"405", "bucket"}]

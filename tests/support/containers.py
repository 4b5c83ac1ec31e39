"""Containers of a real engine, confined as infra/compose.yaml confines them; what they reach is on this machine."""

import json
import subprocess

from ruamel.yaml import YAML

from tests.conftest import ROOT

COMPOSE = ROOT / "infra/compose.yaml"
# The compose file's keys, and podman's options for them. A key that is in neither list stops the test.
_OPTIONS = {
    "read_only": lambda on: ["--read-only", "--read-only-tmpfs=false"] if on else [],
    "init": lambda on: ["--init"] if on else [],
    "user": lambda user: ["--user", user],
    "cap_drop": lambda names: [f"--cap-drop={name}" for name in names],
    "security_opt": lambda options: [f"--security-opt={option.removesuffix(':true')}" for option in options],
    "tmpfs": lambda mounts: [f"--tmpfs={mount}" for mount in mounts],
    "mem_limit": lambda size: [f"--memory={size}"],
    "pids_limit": lambda most: [f"--pids-limit={most}"],
    "stop_signal": lambda name: [f"--stop-signal={name}"],
}
_ELSEWHERE = {
    "image", "build", "command", "environment", "volumes", "networks", "ports", "depends_on", "healthcheck", "logging",
    "restart", "profiles", "stop_grace_period",
}  # fmt: skip


def compose_service(name):
    return YAML(typ="safe").load(COMPOSE.read_text("utf-8"))["services"][name]


def podman(*arguments, check=True):
    done = subprocess.run(["podman", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done


class Container:
    """A service of the compose file: its image, its command, its user and its limits; use it as a context."""

    def __init__(self, name, mark, secrets, environment, *, command=None):
        """Mount the folder ``secrets``; ``environment`` goes over the compose file's; ``command`` takes its place."""
        self.compose = compose_service(name)
        assert set(self.compose) <= {*_OPTIONS, *_ELSEWHERE}
        self.name = f"nightlight-test-{mark}-{name}"
        options = [word for key, make in _OPTIONS.items() if key in self.compose for word in make(self.compose[key])]
        variables = {**self.compose.get("environment", {}), **environment}
        (mount,) = self.compose["volumes"]
        self._run = [
            *options,
            f"--name={self.name}",
            "--network=host",
            "--no-healthcheck",
            f"--volume={secrets}:{mount.split(':', 1)[1]}",
            *[f"--env={variable}={value}" for variable, value in variables.items()],
            self.compose["image"],
            *(command or self.compose.get("command", [])),
        ]

    def run(self):
        """Run to its end; return the exit status and what it said."""
        done = podman("run", "--rm", *self._run, check=False)
        return done.returncode, done.stdout + done.stderr

    def __enter__(self):
        podman("run", "--detach", *self._run)
        return self

    def __exit__(self, *_):
        podman("rm", "--force", "--time=1", self.name, check=False)

    def exec(self, *command):
        return podman("exec", self.name, *command, check=False)

    def healthy(self, **replaced):
        """Run the compose file's own health check in the container."""
        test = self.compose["healthcheck"]["test"]
        assert test[0] == "CMD"
        words = test[1:]
        for old, new in replaced.items():
            words = [word.replace(f":{old[1:]}/", f":{new}/") for word in words]
        return self.exec(*words).returncode == 0

    def stop(self):
        """Stop it as compose does; return its exit status, and whether it had to be killed."""
        grace_s = int(self.compose["stop_grace_period"].removesuffix("s"))
        podman("stop", f"--time={grace_s}", self.name)
        (state,) = json.loads(podman("inspect", self.name).stdout)
        return state["State"]["ExitCode"]

    def logs(self):
        done = podman("logs", self.name, check=False)
        return done.stdout + done.stderr

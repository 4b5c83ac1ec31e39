"""The network policies, reckoned as Kubernetes reckons them: who reaches whom, and everything else is refused."""

import pytest

from tests.support.charts import container, matches

pytestmark = pytest.mark.integration
STORES = {"postgres": 5432, "rabbitmq": 5672, "redis": 6379, "s3": 9000}
SOMEBODY = {"labels": {"app": "somebody"}, "namespace": "elsewhere"}
CALLER = {"labels": {"nightlight-caller": "true"}, "namespace": "nightlight"}
INGRESS = {"labels": {}, "namespace": "ingress-nginx"}
PROMETHEUS = {"labels": {}, "namespace": "monitoring"}


def peer(where, peers):
    """Whether a pod is among peers; an empty list is everybody."""
    if not peers:
        return True
    for one_of in peers:
        namespace = one_of.get("namespaceSelector")
        fits = (
            matches(namespace, {"kubernetes.io/metadata.name": where["namespace"]})
            if namespace is not None
            else where["namespace"] == "nightlight"
        )
        if fits and matches(one_of.get("podSelector", {}), where["labels"]):
            return True
    return False


def allowed(release, direction, pod, other, port):
    """Whether the policies on a pod allow what goes in a direction between it and another, to a port."""
    labels = pod["metadata"]["labels"]
    policies = [p["spec"] for p in release.of_kind("NetworkPolicy") if matches(p["spec"]["podSelector"], labels)]
    policies = [spec for spec in policies if direction in spec["policyTypes"]]
    assert policies, "a pod that no policy is on may do everything"
    side = {"Ingress": "from", "Egress": "to"}[direction]
    return any(
        peer(other, rule.get(side, [])) and any(entry["port"] == port for entry in rule["ports"])
        for spec in policies
        for rule in spec.get(direction.lower(), [])
    )


def as_peer(pod):
    return {"labels": pod["metadata"]["labels"], "namespace": "nightlight"}


def reached(release, what, port):
    """The components that may ask a component of the release at a port."""
    return {
        name
        for name, pod in release.pods.items()
        if allowed(release, "Egress", pod, as_peer(release.pods[what]), port)
        and allowed(release, "Ingress", release.pods[what], as_peer(pod), port)
    }


def test_only_workers_and_schedule_reach_an_edge_and_nobody_reaches_another(everything):
    assert reached(everything, "edge", 8080) == {"worker", "schedule"}
    for name in set(everything.pods) - {"edge"}:
        for port in (8080, 8081, 8082, 5432):
            assert reached(everything, name, port) == set(), name


def test_each_process_reaches_the_stores_of_its_work_and_no_others(everything):
    stores = {"labels": {}, "namespace": "stores"}
    reach = {
        name: {store for store, port in STORES.items() if allowed(everything, "Egress", pod, stores, port)}
        for name, pod in everything.pods.items()
    }
    assert reach == {
        "migrate": {"postgres"},
        "service": {"postgres", "redis", "s3"},
        "worker": {"postgres", "rabbitmq", "s3"},
        "schedule": {"postgres", "rabbitmq", "s3"},
        "keeper": {"postgres", "s3"},
        "edge": {"s3"},
    }


def test_from_outside_each_is_reached_by_its_own(everything):
    outside = {"somebody": SOMEBODY, "caller": CALLER, "ingress": INGRESS, "prometheus": PROMETHEUS}
    reach = {
        name: {
            who for who, pod_of in outside.items()
            for port in container(pod).get("ports", [{"containerPort": 8080}])
            if allowed(everything, "Ingress", pod, pod_of, port["containerPort"])
        }
        for name, pod in everything.pods.items()
    }  # fmt: skip
    assert reach == {
        "service": {"caller", "prometheus"}, "worker": {"prometheus"}, "schedule": {"prometheus"},
        "edge": {"ingress"}, "migrate": set(), "keeper": set(),
    }  # fmt: skip


def test_nothing_goes_out_but_names_stores_edges_and_what_is_said(everything):
    web = {"labels": {}, "namespace": "elsewhere"}
    for name, pod in everything.pods.items():
        assert not allowed(everything, "Egress", pod, web, 443), name
        assert allowed(everything, "Egress", pod, {"labels": {}, "namespace": "kube-system"}, 53), name
    (more,) = [rule for rule in everything.by_name["NetworkPolicy", "nl-schedule"]["spec"]["egress"]
               if {"ipBlock": {"cidr": "192.0.2.0/24"}} in rule["to"]]  # fmt: skip
    assert more["ports"] == [{"port": 443}]

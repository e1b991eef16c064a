use serde_json::json;

use super::*;
use crate::migrate::fixture::{Fixture, generic, workload};
use crate::model::WorkloadKind;

fn agent(name: &str, image: &str) -> Workload {
    let mut agent = workload(WorkloadKind::DaemonSet, "kube-system", name);
    agent.pod.host_network = true;
    agent.pod.images = vec![image.to_owned()];
    agent
}

fn detected(fixture: &Fixture) -> String {
    let detection = detect(&fixture.world);
    let evidence = detection.evidence.iter();
    let evidence: Vec<_> = evidence
        .map(|e| format!("\n  {}: {} ({})", e.cni, e.object, e.says))
        .collect();
    let evidence = evidence.concat();
    let note = detection
        .note
        .map(|n| format!("\n  note: {n}"))
        .unwrap_or_default();
    format!("{}{evidence}{note}", detection.cni)
}

#[test]
fn names_are_read_as_they_are_written() {
    for cni in Cni::ALL {
        assert_eq!(cni.to_string().parse(), Ok(cni));
    }
    let unknown = "Calico".parse::<Cni>().unwrap_err();
    assert_eq!(unknown.to_string(), "unknown network plugin `Calico`");
}

#[test]
fn nothing_is_detected_from_nothing() {
    assert_eq!(detected(&Fixture::shop()), "unknown");
}

#[test]
fn agents_are_known_by_image_or_name() {
    let cases = [
        ("cilium-agent", "quay.io/cilium/cilium:v1.18.1", "cilium"),
        (
            "node",
            "registry.local:5000/mirror/calico/node@sha256:0",
            "calico",
        ),
        ("anetd", "private/image:1", "gke-dataplane-v2"),
        (
            "aws-node",
            "602401143452.dkr.ecr.eu-west-1.amazonaws.com/amazon-k8s-cni:v1.20.1",
            "aws-vpc",
        ),
        (
            "router",
            "docker.io/cloudnativelabs/kube-router",
            "kube-router",
        ),
        ("net", "ghcr.io/flannel-io/flannel/flannel:v0.27", "flannel"),
        ("k", "docker.io/kindest/kindnetd:v20250512", "kindnet"),
        ("app", "example.com/notcilium/cilium-operator:v1", "unknown"),
    ];
    for (name, image, expected) in cases {
        let fixture = Fixture::default().workload(agent(name, image));
        assert_eq!(detect(&fixture.world).cni.to_string(), expected, "{image}");
    }
}

#[test]
fn an_image_beside_the_host_network_is_no_agent() {
    let mut tool = agent("tool", "quay.io/cilium/cilium:v1.18.1");
    tool.pod.host_network = false;
    assert_eq!(detected(&Fixture::default().workload(tool)), "unknown");
}

#[test]
fn configuration_tells_dataplanes_apart() {
    let felix = |spec| {
        let felix = ("", "default");
        generic(
            "crd.projectcalico.org",
            "FelixConfiguration",
            felix,
            json!({ "spec": spec }),
        )
    };
    let node = || agent("calico-node", "calico/node:v3.31.0");
    let cases = [
        (json!({}), "calico"),
        (json!({ "bpfEnabled": true }), "calico-ebpf"),
        (json!({ "istioAmbientMode": "Enabled" }), "calico-ambient"),
        (json!({ "istioAmbientMode": "Disabled" }), "calico"),
    ];
    for (spec, expected) in cases {
        let fixture = Fixture::default()
            .workload(node())
            .configuration(felix(spec.clone()));
        assert_eq!(detect(&fixture.world).cni.to_string(), expected, "{spec}");
    }
}

#[test]
fn an_engine_on_top_of_a_plain_network_counts() {
    let fixture = Fixture::default()
        .workload(agent("canal", "calico/node:v3.31.0"))
        .workload(agent("kube-flannel-ds", "flannel/flannel:v0.27"));
    insta::assert_snapshot!(detected(&fixture), @"
    calico
      calico: kube-system/daemonset/canal (DaemonSet `canal`)
    ");
}

#[test]
fn contradicting_evidence_is_reported_and_not_decided() {
    let config = generic(
        "",
        "ConfigMap",
        ("kube-system", "cilium-config"),
        json!({ "data": {} }),
    );
    let fixture = Fixture::default()
        .workload(agent("weave-net", "weaveworks/weave-kube:2.8"))
        .configuration(config);
    insta::assert_snapshot!(detected(&fixture), @"
    unknown
      cilium: kube-system/configmap/cilium-config (ConfigMap `cilium-config`)
      weave: kube-system/daemonset/weave-net (DaemonSet `weave-net`)
      note: the objects name `cilium` and `weave`
    ");
}

#[test]
fn policies_of_a_plugin_name_it() {
    let mut fixture = Fixture::default();
    let spec = json!({ "spec": {} });
    let policy = generic("cilium.io", "CiliumNetworkPolicy", ("shop", "web"), spec);
    fixture.world.plugin_policies.push(policy);
    insta::assert_snapshot!(detected(&fixture), @"
    cilium
      cilium: shop/ciliumnetworkpolicy/web (kind `CiliumNetworkPolicy`)
    ");
}

#[test]
fn facts_of_every_plugin() {
    let answer = |a: Option<bool>| match a {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    };
    let line = |c: &Cni| {
        format!(
            "{:<17} {:<4} {:<4} {}\n",
            c.as_str(),
            answer(c.needs_probe_rule()),
            answer(c.block_matches_pods()),
            answer(c.enforces_policies())
        )
    };
    let table: String = Cni::ALL.iter().map(line).collect();
    insta::assert_snapshot!(table, @"
    unknown           ?    ?    ?
    calico            no   yes  yes
    calico-ebpf       ?    yes  yes
    calico-ambient    no   yes  yes
    cilium            yes  no   yes
    antrea            no   yes  yes
    antrea-userspace  yes  yes  yes
    ovn-kubernetes    yes  yes  yes
    aws-vpc           yes  yes  ?
    gke-dataplane-v2  yes  no   yes
    kube-router       no   yes  yes
    weave             no   yes  yes
    flannel           no   ?    no
    kindnet           ?    ?    ?
    ");
}

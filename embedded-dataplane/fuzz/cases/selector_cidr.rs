//! A policy with any selector, CIDR and port is read, or refused with a problem. Lines: label key,
//! operator, label value, CIDR, exception, port, last port.

use kubectl_ambient::source::load_texts;
use serde_json::{Value, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut lines = text.lines().chain(std::iter::repeat(""));
    let mut next = || lines.next().unwrap_or_default();
    let (key, operator, value) = (next(), next(), next());
    let (cidr, except) = (next(), next());
    let ports = [next(), next()].map(|port| port.parse::<i64>().map_or(json!(port), Value::from));
    let [port, end] = ports;
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "p"},
        "spec": {
            "podSelector": {
                "matchLabels": {key: value},
                "matchExpressions": [{"key": key, "operator": operator, "values": [value]}],
            },
            "ingress": [{
                "from": [{"ipBlock": {"cidr": cidr, "except": [except]}}],
                "ports": [{"port": port, "endPort": end}],
            }],
        },
    });
    let text = policy.to_string();
    let loaded = load_texts([("p.json", text.as_str())], "default");
    let policies = loaded.world.network_policies.len();
    assert_eq!(
        policies == 0,
        !loaded.problems.is_empty(),
        "{:?}",
        loaded.problems
    );
}

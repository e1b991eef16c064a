//! Network policies of a made-up cluster.

use std::fmt::Write as _;

use super::{Namespace, REPLICAS, TEAMS, TIERS, application_name, namespace_name};
use crate::bench::random::Random;

/// Appends one policy of a namespace.
pub(super) fn write(text: &mut String, within: &Namespace<'_>, number: usize, random: &mut Random) {
    let name = format!("policy-{number:03}");
    let namespace = namespace_name(within.number);
    // Writing to a `String` cannot fail, here and below.
    let _ = write!(
        text,
        "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {name}
  namespace: {namespace}
spec:
"
    );
    if random.once_in(10) && !within.shape.distinct {
        text.push_str("  podSelector: {}\n  policyTypes: [Ingress, Egress]\n");
        return;
    }
    subject(text, within, number, random);
    let egress = random.once_in(3);
    let types = if egress {
        "[Ingress, Egress]"
    } else {
        "[Ingress]"
    };
    let _ = writeln!(text, "  policyTypes: {types}\n  ingress:");
    for _ in 0..=random.below(2) {
        rule(text, "from", within, random);
    }
    if egress {
        text.push_str("  egress:\n");
        rule(text, "to", within, random);
    }
}

/// `spec.podSelector`.
fn subject(text: &mut String, within: &Namespace<'_>, number: usize, random: &mut Random) {
    if within.shape.distinct {
        distinguishing_subject(text, within, number);
        return;
    }
    text.push_str("  podSelector:\n");
    if random.once_in(4) {
        let _ = writeln!(
            text,
            "    matchExpressions:\n    - key: tier\n      operator: NotIn\n      values: [{}]",
            TIERS[random.below(TIERS.len())]
        );
    } else {
        let app = application_name(random.below(within.applications));
        let _ = writeln!(text, "    matchLabels:\n      app: {app}");
    }
}

/// Selects the pods whose number has one bit set. The policies of a namespace take turns with the
/// bits, so that any two of its pods are told apart by one of them.
fn distinguishing_subject(text: &mut String, within: &Namespace<'_>, number: usize) {
    let bits = usize::BITS - within.pods.saturating_sub(1).leading_zeros();
    let bit = number % (bits.max(1) as usize);
    let selected = (0..within.pods).filter(|pod| pod >> bit & 1 == 1);
    let values: Vec<_> = selected.map(|pod| within.identity(pod)).collect();
    if values.is_empty() {
        text.push_str("  podSelector: {}\n");
        return;
    }
    let _ = writeln!(
        text,
        "  podSelector:\n    matchExpressions:\n    - key: id\n      operator: In\n      \
         values: [{}]",
        values.join(", ")
    );
}

fn rule(text: &mut String, direction: &str, within: &Namespace<'_>, random: &mut Random) {
    let _ = writeln!(text, "  - {direction}:");
    for _ in 0..=random.below(2) {
        peer(text, within, random);
    }
    match random.below(6) {
        // Every port.
        0 => {}
        1 => text.push_str("    ports:\n    - port: http\n"),
        2 => text
            .push_str("    ports:\n    - protocol: TCP\n      port: 8000\n      endPort: 8099\n"),
        3 => {
            text.push_str(
                "    ports:\n    - port: metrics\n    - protocol: UDP\n      port: dns\n",
            );
        }
        4 => text.push_str("    ports:\n    - protocol: TCP\n      port: 8080\n    - port: 9090\n"),
        _ => {
            let port = 8080 + random.below(REPLICAS * TEAMS);
            let _ = writeln!(text, "    ports:\n    - protocol: TCP\n      port: {port}");
        }
    }
}

fn peer(text: &mut String, within: &Namespace<'_>, random: &mut Random) {
    let app = application_name(random.below(within.applications));
    let team = random.below(TEAMS);
    let _ = match random.below(8) {
        0..3 => writeln!(
            text,
            "    - podSelector:\n        matchLabels:\n          app: {app}"
        ),
        3 => writeln!(
            text,
            "    - namespaceSelector:\n        matchLabels:\n          team: team-{team}"
        ),
        4 => writeln!(
            text,
            "    - namespaceSelector:\n        matchLabels:\n          team: team-{team}\n      \
             podSelector:\n        matchLabels:\n          tier: {}",
            TIERS[random.below(TIERS.len())]
        ),
        5 => writeln!(
            text,
            "    - podSelector:\n        matchExpressions:\n        - key: app\n          \
             operator: In\n          values: [{app}, {}]",
            application_name(random.below(within.applications))
        ),
        6 => writeln!(
            text,
            "    - namespaceSelector: {{}}\n      podSelector:\n        matchExpressions:\n        \
             - key: tier\n          operator: Exists\n        - key: app\n          \
             operator: NotIn\n          values: [{app}]"
        ),
        _ => {
            let second = random.below(64);
            writeln!(
                text,
                "    - ipBlock:\n        cidr: 172.{}.0.0/16\n        except:\n        \
                 - 172.{}.{second}.0/24",
                16 + team,
                16 + team
            )
        }
    };
}

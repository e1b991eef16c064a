//! What the API server rejects in a NetworkPolicy, rule by rule.

use std::fmt::Write as _;

use insta::assert_snapshot;

use super::{load, problems};
use crate::model::{Coverage, Kind, Peer, PortMatch, Protocol};

/// What is reported about a policy with this `spec`, in flow style on line 4.
fn spec(spec: &str) -> String {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
    );
    let loaded = load(&text);
    assert_eq!(
        loaded.world.network_policies.len(),
        usize::from(loaded.problems.is_empty())
    );
    let mut out = String::new();
    for problem in loaded.problems {
        assert_eq!(
            (problem.line, problem.excerpt.map(|e| e.to_string())),
            (4, Some(format!("spec: {spec}")))
        );
        let _ = writeln!(out, "{}: {}", problem.column, problem.message);
        if let Some(hint) = problem.hint {
            let _ = writeln!(out, "  hint: {hint}");
        }
    }
    for note in loaded.notes {
        let _ = writeln!(out, "note: {}", note.message);
    }
    out
}

/// What is reported about a policy whose one ingress rule is this.
fn ingress(rule: &str) -> String {
    spec(&format!("{{podSelector: {{}}, ingress: [{rule}]}}"))
}

#[test]
fn the_example_that_articles_print_has_no_name() {
    let text = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
spec:
  podSelector:
    matchLabels:
      app.kubernetes.io/name: my-app
  ingress:
  - ports:
    - port: 9090
      protocol: TCP
";
    assert_snapshot!(problems(text), @"
    a.yaml:3:9: a NetworkPolicy without `metadata.name`: the API server rejects it
      | metadata:
      hint: add `name: my-app` under `metadata`
    ");
    let without = text.replace("metadata:\n", "");
    assert_snapshot!(problems(&without), @"
    a.yaml:1:1: a NetworkPolicy without `metadata.name`: the API server rejects it
      | apiVersion: networking.k8s.io/v1
      hint: add `name: my-app` under `metadata`
    ");
    let empty = text.replace("metadata:\n", "metadata: {labels: {a: b}}\n");
    assert_snapshot!(problems(&empty), @"
    a.yaml:3:11: a NetworkPolicy without `metadata.name`: the API server rejects it
      | metadata: {labels: {a: b}}
      hint: add `name: my-app` under `metadata`
    ");
    assert_eq!(
        load(text).world.coverage(Kind::NetworkPolicy),
        Coverage::Partial
    );
    assert_eq!(load(text).world.coverage(Kind::Workload), Coverage::Given);

    let named = load(&text.replace("metadata:\n", "metadata: {name: my-app}\n"));
    assert_eq!(named.problems, []);
    let policy = &named.world.network_policies[0];
    let rule = &policy.ingress[0];
    assert_eq!(
        (policy.isolates_ingress, policy.isolates_egress),
        (true, false)
    );
    assert_eq!((rule.line, rule.ports[0].protocol), (9, Protocol::Tcp));
    assert_eq!(rule.ports[0].port, PortMatch::Range(9090, 9090));
}

#[test]
fn names_are_checked() {
    let named = |metadata: &str| {
        problems(&format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {metadata}\n\
             spec: {{podSelector: {{}}}}\n"
        ))
    };
    assert_snapshot!(named("{generateName: a-}"), @"
    a.yaml:3:11: a NetworkPolicy with only `metadata.generateName`: its name is not known before it exists
      | metadata: {generateName: a-}
      hint: add `name` under `metadata`
    ");
    assert_snapshot!(named("{name: My_App}"), @"
    a.yaml:3:18: `metadata.name` is `My_App`; a name must be lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of every part
      in default/networkpolicy/My_App
      | metadata: {name: My_App}
    ");
    assert_snapshot!(named("{name: \"{{ .name }}\"}"), @r#"
    a.yaml:3:18: `metadata.name` is `{{ .name }}`; a name must be lower-case letters, digits, `-` and `.`, with a letter or digit at both ends of every part
      in default/networkpolicy/{{ .name }}
      | metadata: {name: "{{ .name }}"}
      hint: it is a template: render it first, and read the output
    "#);
    assert_snapshot!(named("{name: 1234}"), @r#"
    a.yaml:3:18: `metadata.name` must be a string, and `1234` is read as a number
      | metadata: {name: 1234}
      hint: put it in quotes: `"1234"`
    "#);
    assert_snapshot!(named("{name: a, namespace: a.b, lables: {}}"), @"
    a.yaml:3:32: `metadata.namespace` is `a.b`; a namespace must be lower-case letters, digits and `-`, with a letter or digit at both ends
      | metadata: {name: a, namespace: a.b, lables: {}}
    a.yaml:3:37: `metadata.lables` is not a field of the API
      in a.b/networkpolicy/a
      | metadata: {name: a, namespace: a.b, lables: {}}
      hint: did you mean `labels`?
    ");
    assert_snapshot!(named("{name: a, labels: {-x: 1, app: yes, y: a/b, z: }, annotations: {a/b/c: x}}"), @r#"
    a.yaml:3:34: `metadata.labels` has the key `-x`; a label key must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, after at most one prefix and `/`
      in default/networkpolicy/a
      | metadata: {name: a, labels: {-x: 1, app: yes, y: a/b, z: }, annotations: {a/b/c: x}}
    a.yaml:3:34: `metadata.labels.-x` must be a string, and `1` is read as a number
      in default/networkpolicy/a
      | metadata: {name: a, labels: {-x: 1, app: yes, y: a/b, z: }, annotations: {a/b/c: x}}
      hint: put it in quotes: `"1"`
    a.yaml:3:42: `metadata.labels.app` must be a string, and `yes` is read as a boolean
      in default/networkpolicy/a
      | metadata: {name: a, labels: {-x: 1, app: yes, y: a/b, z: }, annotations: {a/b/c: x}}
      hint: put it in quotes: `"yes"`
    a.yaml:3:50: `metadata.labels.y` is `a/b`; a label value must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
      in default/networkpolicy/a
      | metadata: {name: a, labels: {-x: 1, app: yes, y: a/b, z: }, annotations: {a/b/c: x}}
    a.yaml:3:74: `metadata.annotations` has the key `a/b/c`; an annotation key must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, after at most one prefix and `/`
      in default/networkpolicy/a
      | metadata: {name: a, labels: {-x: 1, app: yes, y: a/b, z: }, annotations: {a/b/c: x}}
    "#);
}

#[test]
fn peers_are_checked() {
    assert_snapshot!(ingress("{from: [{}]}"), @"
    43: `spec.ingress[0].from[0]` is empty: a peer needs `podSelector`, `namespaceSelector` or `ipBlock`
      hint: `podSelector: {}` is every pod of the namespace; leave the list out for any peer
    ");
    assert_snapshot!(ingress("{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}"), @"
    53: `spec.ingress[0].from[0].ipBlock` stands beside a selector: a peer is either addresses or pods
      hint: make it an item of its own
    ");
    assert_snapshot!(ingress("{from: [{podselector: {}}]}"), @"
    43: `spec.ingress[0].from[0]` has neither `podSelector` nor `namespaceSelector` nor `ipBlock`
    44: `spec.ingress[0].from[0].podselector` is not a field of the API
      hint: did you mean `podSelector`?
    ");
    assert_snapshot!(ingress("{from: {podSelector: {}}}"), @"42: `spec.ingress[0].from` must be a list, and is a mapping");
    assert_snapshot!(ingress("{to: [{podSelector: {}}], port: [{port: 80}]}"), @"
    36: `spec.ingress[0].to` is not a field of the API
      hint: the fields here are `from`, `ports`
    61: `spec.ingress[0].port` is not a field of the API
      hint: did you mean `ports`?
    ");
    assert_snapshot!(ingress("{from: [{podSelector: {app: web}}]}"), @"
    58: `spec.ingress[0].from[0].podSelector.app` is not a field of the API
      hint: the fields here are `matchLabels`, `matchExpressions`
    ");
}

#[test]
fn address_blocks_are_checked() {
    let block = |block: &str| ingress(&format!("{{from: [{{ipBlock: {block}}}]}}"));
    assert_snapshot!(block("{}"), @"53: `spec.ingress[0].from[0].ipBlock.cidr` is missing");
    assert_snapshot!(block("{cidr: 10.0.0.1}"), @"
    60: `spec.ingress[0].from[0].ipBlock.cidr` is `10.0.0.1`; a CIDR must be an address and a prefix length, as in `10.0.0.0/8`
      hint: did you mean `10.0.0.1/32`?
    ");
    assert_snapshot!(block("{cidr: 10.0/16}"), @"
    60: `spec.ingress[0].from[0].ipBlock.cidr` is `10.0/16`; a CIDR must have an IPv4 or IPv6 address before its `/`
      hint: did you mean `10.0.0.0/16`?
    ");
    assert_snapshot!(block("{cidr: 10.0.0.0/40}"), @"60: `spec.ingress[0].from[0].ipBlock.cidr` is `10.0.0.0/40`; a CIDR must have a prefix length from 0 to 32 (IPv4) or 128 (IPv6)");
    assert_snapshot!(block("{cidr: \"::ffff:10.0.0.0/104\"}"), @"60: `spec.ingress[0].from[0].ipBlock.cidr` is `::ffff:10.0.0.0/104`; a CIDR must not be an IPv4-mapped IPv6 address");
    assert_snapshot!(block("{cidr: 10.0.0.0/8, except: [10.0.0.0/8]}"), @"81: `spec.ingress[0].from[0].ipBlock.except[0]` is `10.0.0.0/8`, which is not a smaller part of `10.0.0.0/8`");
    assert_snapshot!(block("{cidr: 10.0.0.0/8, except: [11.0.0.0/16, \"fd00::/64\", x]}"), @"
    81: `spec.ingress[0].from[0].ipBlock.except[0]` is `11.0.0.0/16`, which is not a smaller part of `10.0.0.0/8`
    94: `spec.ingress[0].from[0].ipBlock.except[1]` is `fd00::/64`, of another address family than `10.0.0.0/8`
    107: `spec.ingress[0].from[0].ipBlock.except[2]` is `x`; a CIDR must be an address and a prefix length, as in `10.0.0.0/8`
    ");
    assert_snapshot!(block("{cidr: 10.1.2.3/8, except: [10.0.0.0/16]}"), @"note: `default/networkpolicy/p` has the CIDR `10.1.2.3/8`, read as `10.0.0.0/8`; newer API servers refuse the first form in new objects");
    assert_snapshot!(block("{cidr: 10, excepts: []}"), @r#"
    60: `spec.ingress[0].from[0].ipBlock.cidr` must be a string, and `10` is read as a number
      hint: put it in quotes: `"10"`
    64: `spec.ingress[0].from[0].ipBlock.excepts` is not a field of the API
      hint: did you mean `except`?
    "#);
}

#[test]
fn a_tag_decides_what_a_scalar_is() {
    let port = |port: &str| ingress(&format!("{{ports: [{{port: {port}}}]}}"));
    assert_snapshot!(port("!!int \"80\""), @"");
    assert_snapshot!(port("!!int 80"), @"");
    assert_snapshot!(port("!!str 80"), @r#"
    57: `spec.ingress[0].ports[0].port` is the string `"80"`, so a port name; a port name must have at least one letter
      hint: remove the tag: `port: 80`
    "#);
    assert_snapshot!(port("!!int http"), @"57: invalid YAML: the tag is `!!int`, and `http` is a string");
    assert_snapshot!(port("!!float \"80\""), @"");
    assert_snapshot!(port("!unknown 80"), @r#"
    60: `spec.ingress[0].ports[0].port` is the string `"80"`, so a port name; a port name must have at least one letter
      hint: remove the tag: `port: 80`
    "#);
}

#[test]
fn a_field_that_the_api_does_not_have_is_where_its_key_is() {
    let text = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a}
spec:
  podSelector: {}
  Ingress:
  - {}
";
    assert_snapshot!(problems(text), @"
    a.yaml:6:3: `spec.Ingress` is not a field of the API
      in default/networkpolicy/a
      |   Ingress:
      hint: did you mean `ingress`?
    ");
}

#[test]
fn ports_are_checked() {
    let port = |port: &str| ingress(&format!("{{ports: [{port}]}}"));
    assert_snapshot!(port("{port: 0}"), @"51: `spec.ingress[0].ports[0].port` is 0; a port must be between 1 and 65535");
    assert_snapshot!(port("{port: 65536}"), @"51: `spec.ingress[0].ports[0].port` is 65536; a port must be between 1 and 65535");
    assert_snapshot!(port("{port: -1}"), @"51: `spec.ingress[0].ports[0].port` is -1; a port must be between 1 and 65535");
    assert_snapshot!(port("{port: \"80\"}"), @r#"
    51: `spec.ingress[0].ports[0].port` is the string `"80"`, so a port name; a port name must have at least one letter
      hint: remove the quotes: `port: 80`
    "#);
    assert_snapshot!(port("{port: 8080-8090}"), @"
    51: `spec.ingress[0].ports[0].port` is `8080-8090`; a port name must have at least one letter
      hint: a range is written `port: 8080` and `endPort: 8090`
    ");
    assert_snapshot!(port("{port: HTTP}"), @"51: `spec.ingress[0].ports[0].port` is `HTTP`; a port name must be lower-case letters, digits and `-`");
    assert_snapshot!(port("{port: a-very-long-name-of-a-port}"), @"51: `spec.ingress[0].ports[0].port` is `a-very-long-name-of-a-port`; a port name must have no more than 15 characters");
    assert_snapshot!(port("{port: a--b}"), @"51: `spec.ingress[0].ports[0].port` is `a--b`; a port name must not have two `-` in a row");
    assert_snapshot!(port("{port: \"\"}"), @"51: `spec.ingress[0].ports[0].port` is empty; a port name must not be empty");
    assert_snapshot!(port("{port: 80.5}"), @"51: `spec.ingress[0].ports[0].port` must be a whole number");
    assert_snapshot!(port("{port: 99999999999}"), @"51: `spec.ingress[0].ports[0].port` does not fit into 32 bits");
    assert_snapshot!(port("{port: [80]}"), @"51: `spec.ingress[0].ports[0].port` must be a number, and is a list");
    assert_snapshot!(port("{endPort: 80}"), @"54: `spec.ingress[0].ports[0].endPort` stands without `port`");
    assert_snapshot!(port("{port: http, endPort: 80}"), @"66: `spec.ingress[0].ports[0].endPort` stands beside a named port: a range needs numbers");
    assert_snapshot!(port("{port: 80, endPort: 79}"), @"64: `spec.ingress[0].ports[0].endPort` is 79, below `port`, which is 80");
    assert_snapshot!(port("{port: 80, endPort: 70000}"), @"64: `spec.ingress[0].ports[0].endPort` is 70000; a port must be between 1 and 65535");
    assert_snapshot!(port("{port: 80, endPort: \"90\"}"), @"
    64: `spec.ingress[0].ports[0].endPort` must be a number, and is a string
      hint: remove the quotes: `90`
    ");
    assert_snapshot!(port("{port: 80, protocol: tcp}"), @"
    65: `spec.ingress[0].ports[0].protocol` is `tcp`; it must be one of `TCP`, `UDP`, `SCTP`
      hint: did you mean `TCP`?
    ");
    assert_snapshot!(port("{port: 80, protocol: ICMP}"), @"65: `spec.ingress[0].ports[0].protocol` is `ICMP`; it must be one of `TCP`, `UDP`, `SCTP`");
    assert_snapshot!(port("80"), @"44: `spec.ingress[0].ports[0]` must be a mapping, and is a number");
}

#[test]
fn policy_types_are_checked() {
    assert_snapshot!(spec("{podSelector: {}, policyTypes: [ingress]}"), @"
    39: `spec.policyTypes[0]` is `ingress`; it must be one of `Ingress`, `Egress`
      hint: did you mean `Ingress`?
    ");
    assert_snapshot!(spec("{podSelector: {}, policyTypes: [Ingress, Egress, Ingress]}"), @"38: `spec.policyTypes` must have no more than two entries");
    assert_snapshot!(spec("{podSelector: {}, policyTypes: Ingress}"), @"38: `spec.policyTypes` must be a list, and is a string");
    assert_snapshot!(spec("{policyTypes: [Egress]}"), @"note: `default/networkpolicy/p` has no `podSelector`: it selects every pod of its namespace");
    assert_snapshot!(spec(""), @"note: `default/networkpolicy/p` has no `spec`: it isolates every pod of its namespace for ingress");
    assert_snapshot!(spec("[]"), @"7: `spec` must be a mapping, and is a list");
    assert_snapshot!(spec("{podselector: {}}"), @"
    8: `spec.podselector` is not a field of the API
      hint: did you mean `podSelector`?
    ");
}

#[test]
fn selectors_are_checked() {
    let expression = |e: &str| spec(&format!("{{podSelector: {{matchExpressions: [{e}]}}}}"));
    assert_snapshot!(expression("{key: a, operator: In}"), @"41: `spec.podSelector.matchExpressions[0].values` must have a value: the operator is `In`");
    assert_snapshot!(expression("{key: a, operator: NotIn, values: []}"), @"75: `spec.podSelector.matchExpressions[0].values` must have a value: the operator is `NotIn`");
    assert_snapshot!(expression("{key: a, operator: Exists, values: [b]}"), @"76: `spec.podSelector.matchExpressions[0].values` must be empty: the operator is `Exists`");
    assert_snapshot!(expression("{key: a, operator: exists}"), @"
    60: `spec.podSelector.matchExpressions[0].operator` is `exists`; it must be one of `In`, `NotIn`, `Exists`, `DoesNotExist`
      hint: did you mean `Exists`?
    ");
    assert_snapshot!(expression("{key: a, operator: Equals, values: [b]}"), @"60: `spec.podSelector.matchExpressions[0].operator` is `Equals`; it must be one of `In`, `NotIn`, `Exists`, `DoesNotExist`");
    assert_snapshot!(expression("{operator: Exists}"), @"41: `spec.podSelector.matchExpressions[0].key` is missing");
    assert_snapshot!(expression("{key: a b, operator: In, values: [a b, 1]}"), @r#"
    47: `spec.podSelector.matchExpressions[0].key` is `a b`; a label key must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends, after at most one prefix and `/`
    75: `spec.podSelector.matchExpressions[0].values[0]` is `a b`; a label value must be letters, digits, `-`, `_` and `.`, with a letter or digit at both ends
    80: `spec.podSelector.matchExpressions[0].values[1]` must be a string, and `1` is read as a number
      hint: put it in quotes: `"1"`
    "#);
    assert_snapshot!(expression("{key: a, operator: In, value: b}"), @"
    41: `spec.podSelector.matchExpressions[0].values` must have a value: the operator is `In`
    64: `spec.podSelector.matchExpressions[0].value` is not a field of the API
      hint: did you mean `values`?
    ");
}

#[test]
fn all_problems_of_an_object_are_found_and_no_other_object_is_hidden() {
    let text = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: first
  namespace: shop
spec:
  podSelector: {}
  ingress:
  - ports:
    - port: 0
    - port: 90
      endPort: 80
  - from:
    - ipBlock:
        cidr: 10.0.0.0/99
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: second
spec:
  podSelector: {}
";
    assert_snapshot!(problems(text), @"
    a.yaml:10:13: `spec.ingress[0].ports[0].port` is 0; a port must be between 1 and 65535
      in shop/networkpolicy/first
      |     - port: 0
    a.yaml:12:16: `spec.ingress[0].ports[1].endPort` is 80, below `port`, which is 90
      in shop/networkpolicy/first
      |       endPort: 80
    a.yaml:15:15: `spec.ingress[1].from[0].ipBlock.cidr` is `10.0.0.0/99`; a CIDR must have a prefix length from 0 to 32 (IPv4) or 128 (IPv6)
      in shop/networkpolicy/first
      |         cidr: 10.0.0.0/99
    ");
    let world = load(text).world;
    assert_eq!(world.network_policies.len(), 1);
    assert_eq!(world.network_policies[0].meta.origin.line, 17);
    assert_eq!(world.network_policies[0].meta.origin.document, 1);
}

#[test]
fn absent_null_and_empty_mean_what_they_mean_to_the_api_server() {
    let policy = |spec: &str| {
        let text = format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p}}\nspec: {spec}\n"
        );
        let mut loaded = load(&text);
        assert_eq!(loaded.problems, [], "{spec}");
        loaded.world.network_policies.remove(0)
    };
    let types = |spec: &str| {
        let policy = policy(spec);
        (policy.isolates_ingress, policy.isolates_egress)
    };
    assert_eq!(types("{podSelector: {}}"), (true, false));
    assert_eq!(types("{podSelector: {}, egress: []}"), (true, false));
    assert_eq!(types("{podSelector: {}, egress: [{}]}"), (true, true));
    assert_eq!(
        types("{podSelector: {}, policyTypes: [], egress: [{}]}"),
        (true, true)
    );
    assert_eq!(types("{podSelector: {}, policyTypes: null}"), (true, false));
    assert_eq!(
        types("{podSelector: {}, policyTypes: [Egress]}"),
        (false, true)
    );
    assert_eq!(
        types("{podSelector: {}, policyTypes: [Egress, Egress]}"),
        (false, true)
    );

    // An item that is null is an empty one: a rule that allows everything.
    let open = policy("{podSelector: {}, ingress: [null]}");
    assert_eq!(
        (open.ingress[0].peers.len(), open.ingress[0].ports.len()),
        (0, 0)
    );
    let ports = policy("{podSelector: {}, ingress: [{from: null, ports: [null]}]}");
    assert_eq!(ports.ingress[0].ports[0].port, PortMatch::All);
    assert_eq!(ports.ingress[0].ports[0].protocol, Protocol::Tcp);

    let numbers = policy(
        "{podSelector: {}, ingress: [{ports: [{port: 0x50}, {port: 80.0}, {port: 1_000, endPort: 0o2000}]}]}",
    );
    let matches: Vec<_> = numbers.ingress[0].ports.iter().map(|p| &p.port).collect();
    let expected = [
        PortMatch::Range(80, 80),
        PortMatch::Range(80, 80),
        PortMatch::Range(1000, 1024),
    ];
    assert_eq!(matches, expected.iter().collect::<Vec<_>>());

    let block = policy(
        "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}]}",
    );
    let expected = Peer::Block {
        cidr: "10.0.0.0/8".parse().unwrap(),
        except: vec!["10.1.0.0/16".parse().unwrap()],
    };
    assert_eq!(block.egress[0].peers, [expected]);
}

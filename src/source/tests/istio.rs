//! What Istio's CRDs and webhook reject, and how the rest is read.

use insta::assert_snapshot;

use super::{load, problems, report};
use crate::model::PeerMode;

fn object(kind: &str, spec: &str) -> String {
    format!("apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: p}}\nspec: {spec}\n")
}

#[test]
fn authorization_policies_are_read() {
    let loaded = load(&object(
        "AuthorizationPolicy",
        "{action: DENY, selector: {matchLabels: {app: x}}, rules: [{from: [{source: {principals: ['*'], \
         requestPrincipals: ['*'], trustDomains: [a]}}, {source: {serviceAccounts: [a/b, c], ipBlocks: \
         [10.0.0.1, 10.0.0.0/8]}}], to: [{operation: {notPorts: ['80'], methods: [GET]}}], when: \
         [{key: source.ip, values: [10.0.0.1]}]}]}",
    ));
    assert_eq!(report(&loaded), "");
    insta::assert_debug_snapshot!(loaded.world.authorization_policies[0].rules, @r#"
    [
        AuthorizationRule {
            from: [
                Source {
                    principals: [
                        "*",
                    ],
                    not_principals: [],
                    namespaces: [],
                    not_namespaces: [],
                    service_accounts: [],
                    not_service_accounts: [],
                    ip_blocks: [],
                    not_ip_blocks: [],
                    layer7: [
                        "requestPrincipals",
                    ],
                    ignored: [
                        "trustDomains",
                    ],
                },
                Source {
                    principals: [],
                    not_principals: [],
                    namespaces: [],
                    not_namespaces: [],
                    service_accounts: [
                        "a/b",
                        "c",
                    ],
                    not_service_accounts: [],
                    ip_blocks: [
                        "10.0.0.1",
                        "10.0.0.0/8",
                    ],
                    not_ip_blocks: [],
                    layer7: [],
                    ignored: [],
                },
            ],
            to: [
                Operation {
                    ports: [],
                    not_ports: [
                        "80",
                    ],
                    layer7: [
                        "methods",
                    ],
                },
            ],
            when: [
                Condition {
                    key: "source.ip",
                    values: [
                        "10.0.0.1",
                    ],
                    not_values: [],
                },
            ],
            line: 4,
        },
    ]
    "#);
    let empty = load(
        "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: p}\n",
    );
    assert_eq!(report(&empty), "");
    assert_eq!(&*empty.world.authorization_policies[0].rules, []);
    let targets = load(&object(
        "AuthorizationPolicy",
        "{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: w}, {kind: Service, name: s}]}",
    ));
    insta::assert_debug_snapshot!(targets.world.authorization_policies[0].targets, @r#"
    [
        TargetRef {
            group: "gateway.networking.k8s.io",
            kind: "Gateway",
            name: "w",
            namespace: None,
        },
        TargetRef {
            group: "",
            kind: "Service",
            name: "s",
            namespace: None,
        },
    ]
    "#);
}

#[test]
fn authorization_policies_are_checked() {
    let policy = |spec: &str| problems(&object("AuthorizationPolicy", spec));
    assert_snapshot!(policy("{action: deny}"), @"
    a.yaml:4:16: `spec.action` is `deny`; it must be one of `ALLOW`, `DENY`, `AUDIT`, `CUSTOM`
      in default/authorizationpolicy/p
      | spec: {action: deny}
      hint: did you mean `DENY`?
    ");
    assert_snapshot!(policy("{action: CUSTOM}"), @"
    a.yaml:4:7: `spec` has no `provider`, which `action: CUSTOM` needs
      in default/authorizationpolicy/p
      | spec: {action: CUSTOM}
    ");
    assert_snapshot!(policy("{selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: s}]}"), @"
    a.yaml:4:7: `spec` has more than one of `selector`, `targetRef` and `targetRefs`
      in default/authorizationpolicy/p
      | spec: {selector: {matchLabels: {a: b}}, targetRefs: [{kind: Service, name: s}]}
    ");
    assert_snapshot!(policy("{selector: {matchExpressions: []}}"), @"
    a.yaml:4:19: `spec.selector.matchExpressions` is not a field of the API
      in default/authorizationpolicy/p
      | spec: {selector: {matchExpressions: []}}
      hint: the fields here are `matchLabels`
    ");
    assert_snapshot!(policy("{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}"), @"
    a.yaml:4:33: `spec.rules[0].from[0].source` has `serviceAccounts` beside principals or namespaces, which cannot be combined
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}
    ");
    assert_snapshot!(policy("{rules: [{from: [{source: {serviceAccounts: ['a*', a/b/c]}}]}]}"), @"
    a.yaml:4:52: `spec.rules[0].from[0].source.serviceAccounts[0]` is `a*`; it must be `name` or `namespace/name`
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{source: {serviceAccounts: ['a*', a/b/c]}}]}]}
    a.yaml:4:58: `spec.rules[0].from[0].source.serviceAccounts[1]` is `a/b/c`; it must be `name` or `namespace/name`
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{source: {serviceAccounts: ['a*', a/b/c]}}]}]}
    ");
    assert_snapshot!(policy("{rules: [{from: [], to: [{operation: {}}]}]}"), @"
    a.yaml:4:23: `spec.rules[0].from` is empty: leave it out to match everything
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [], to: [{operation: {}}]}]}
    a.yaml:4:44: `spec.rules[0].to[0].operation` is empty
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [], to: [{operation: {}}]}]}
    ");
    assert_snapshot!(policy("{rules: [{from: [{principals: [a]}]}]}"), @"
    a.yaml:4:24: `spec.rules[0].from[0].source` is missing
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{principals: [a]}]}]}
    a.yaml:4:25: `spec.rules[0].from[0].principals` is not a field of the API
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{principals: [a]}]}]}
      hint: the fields here are `source`
    ");
    assert_snapshot!(policy("{rules: [{to: [{operation: {ports: [9090], notPorts: ['8080-8090']}}]}]}"), @r#"
    a.yaml:4:43: `spec.rules[0].to[0].operation.ports[0]` must be a string, and `9090` is read as a number
      in default/authorizationpolicy/p
      | spec: {rules: [{to: [{operation: {ports: [9090], notPorts: ['8080-8090']}}]}]}
      hint: put it in quotes: `"9090"`
    a.yaml:4:61: `spec.rules[0].to[0].operation.notPorts[0]` is `8080-8090`; it must be one port number, in quotes
      in default/authorizationpolicy/p
      | spec: {rules: [{to: [{operation: {ports: [9090], notPorts: ['8080-8090']}}]}]}
    "#);
    assert_snapshot!(policy("{rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}"), @"
    a.yaml:4:45: `spec.rules[0].from[0].source.ipBlocks[0]` is `10.0.0.0/33`; it must be an address, or a CIDR as in `10.0.0.0/8`
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{source: {ipBlocks: [10.0.0.0/33]}}]}]}
    ");
    assert_snapshot!(policy("{rules: [{when: [{values: [a]}, {key: a}]}]}"), @"
    a.yaml:4:24: `spec.rules[0].when[0].key` is missing
      in default/authorizationpolicy/p
      | spec: {rules: [{when: [{values: [a]}, {key: a}]}]}
    a.yaml:4:39: `spec.rules[0].when[1]` has neither `values` nor `notValues`
      in default/authorizationpolicy/p
      | spec: {rules: [{when: [{values: [a]}, {key: a}]}]}
    ");
    assert_snapshot!(policy("{rules: [{from: [{source: {not_namespaces: [a]}}]}]}"), @"
    a.yaml:4:34: `spec.rules[0].from[0].source.not_namespaces` is not a field of the API
      in default/authorizationpolicy/p
      | spec: {rules: [{from: [{source: {not_namespaces: [a]}}]}]}
      hint: did you mean `notNamespaces`?
    ");
}

#[test]
fn peer_authentications_are_read_and_checked() {
    let policy = |spec: &str| object("PeerAuthentication", spec);
    let loaded = load(&policy(
        "{selector: {matchLabels: {a: b}}, mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}, '90': {}}}",
    ));
    assert_eq!(report(&loaded), "");
    let read = &loaded.world.peer_authentications[0];
    assert_eq!(read.mode, PeerMode::Strict);
    assert_eq!(
        read.ports,
        [(90, PeerMode::Unset), (8080, PeerMode::Disable)]
    );
    assert_snapshot!(problems(&policy("{mtls: {mode: strict}, portLevelMtls: {http: {mode: STRICT}}}")), @"
    a.yaml:4:21: `spec.mtls.mode` is `strict`; it must be one of `UNSET`, `DISABLE`, `PERMISSIVE`, `STRICT`
      in default/peerauthentication/p
      | spec: {mtls: {mode: strict}, portLevelMtls: {http: {mode: STRICT}}}
      hint: did you mean `STRICT`?
    a.yaml:4:45: `spec.portLevelMtls` needs a `selector` with labels beside it
      in default/peerauthentication/p
      | spec: {mtls: {mode: strict}, portLevelMtls: {http: {mode: STRICT}}}
    a.yaml:4:52: `spec.portLevelMtls.http` is under a key that is no port number
      in default/peerauthentication/p
      | spec: {mtls: {mode: strict}, portLevelMtls: {http: {mode: STRICT}}}
    ");
}

#[test]
fn request_authentications_are_read() {
    let loaded = load(&object(
        "RequestAuthentication",
        "{selector: {matchLabels: {a: b}}, jwtRules: []}",
    ));
    assert_eq!(report(&loaded), "");
    assert_eq!(loaded.world.request_authentications[0].selector.len(), 1);
}

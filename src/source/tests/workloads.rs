//! Pods and the kinds that create pods.

use insta::assert_snapshot;

use super::{labels, load, problems, report};
use crate::model::{LabelSelector, Labels, WorkloadKind};

/// A workload with the given start of its `spec` before the template.
fn workload(version: &str, kind: &str, before: &str) -> String {
    format!(
        "apiVersion: {version}\nkind: {kind}\nmetadata: {{name: w}}\nspec:\n{before}  template:\n    \
         metadata: {{labels: {{app: w}}}}\n    spec: {{containers: [{{name: c}}]}}\n"
    )
}

#[test]
fn every_kind_with_a_template_is_read() {
    let selector = "  selector: {matchLabels: {app: w}}\n";
    let cases = [
        ("apps/v1", "Deployment", selector),
        ("apps/v1", "StatefulSet", selector),
        ("apps/v1", "DaemonSet", selector),
        ("apps/v1", "ReplicaSet", selector),
        ("v1", "ReplicationController", "  selector: {app: w}\n"),
        ("batch/v1", "Job", ""),
    ];
    for (version, kind, before) in cases {
        let loaded = load(&workload(version, kind, before));
        assert_eq!(report(&loaded), "", "{kind}");
        let read = &loaded.world.workloads[0];
        assert_eq!(read.kind.as_str(), kind);
        let mut expected = labels(&[("app", "w")]);
        if kind == "Job" {
            expected.extend(of_job("w"));
        }
        assert_eq!(read.pod.labels, expected, "{kind}");
        assert_eq!(read.pod.service_account, "default");
        let expected = LabelSelector::labels([("app", "w")]);
        let expected = (kind != "Job").then_some(expected);
        assert_eq!(read.selector, expected, "{kind}");
    }
    let cron = workload("batch/v1", "Job", "").replace('\n', "\n    ");
    let cron = format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: c}}\nspec:\n  schedule: '* * * * *'\n  \
         jobTemplate:\n    {cron}"
    );
    let cron = cron.replace("    apiVersion: batch/v1\n        kind: Job\n", "");
    let loaded = load(&cron);
    assert_eq!(report(&loaded), "");
    let read = &loaded.world.workloads[0];
    // The names of its Jobs are no label's value, so that no selector asks for them.
    let mut expected = labels(&[("app", "w")]);
    expected.extend(of_job("c-*"));
    assert_eq!(read.kind, WorkloadKind::CronJob);
    assert_eq!(read.pod.labels, expected);
    // Without a selector a ReplicationController takes the labels of its template.
    let loaded = load(&workload("v1", "ReplicationController", "  replicas: 0\n"));
    let read = &loaded.world.workloads[0];
    assert_eq!(read.selector, Some(LabelSelector::labels([("app", "w")])));
    assert_eq!(read.replicas, Some(0));
}

/// The labels of a Job's pods.
fn of_job(name: &str) -> Labels {
    labels(&[("batch.kubernetes.io/job-name", name), ("job-name", name)])
}

#[test]
fn selectors_must_match_the_template() {
    let deployment = |before: &str| problems(&workload("apps/v1", "Deployment", before));
    assert_snapshot!(deployment(""), @"
    a.yaml:5:3: `spec.selector` is missing
      in default/deployment/w
      |   template:
    ");
    assert_snapshot!(deployment("  selector: {}\n"), @"
    a.yaml:5:13: `spec.selector` selects nothing in particular: the API server rejects an empty selector
      in default/deployment/w
      |   selector: {}
    ");
    assert_snapshot!(deployment("  selector: {matchLabels: {app: x}}\n"), @"
    a.yaml:5:13: `spec.selector` does not match the labels of the template, which are `app=w`
      in default/deployment/w
      |   selector: {matchLabels: {app: x}}
    ");
    assert_snapshot!(deployment("  selector: {app: w}\n"), @"
    a.yaml:5:14: `spec.selector.app` is not a field of the API
      in default/deployment/w
      |   selector: {app: w}
      hint: the fields here are `matchLabels`, `matchExpressions`
    ");
    assert_snapshot!(deployment("  selector: {matchExpressions: [{key: app, operator: Exists}]}\n"), @"");
    assert_snapshot!(deployment("  replicas: -1\n  selector: {matchLabels: {app: w}}\n"), @"
    a.yaml:5:13: `spec.replicas` is -1; it must not be negative
      in default/deployment/w
      |   replicas: -1
    ");
    assert_snapshot!(problems(&workload("v1", "ReplicationController", "  selector: {app: x}\n")), @"
    a.yaml:5:13: `spec.selector` does not match the labels of the template, which are `app=w`
      in default/replicationcontroller/w
      |   selector: {app: x}
    ");
    assert_snapshot!(problems("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n"), @"
    a.yaml:1:1: `spec` is missing
      in default/deployment/a
      | apiVersion: apps/v1
    ");
    assert_snapshot!(problems("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {a: b}}}\n"), @"
    a.yaml:4:7: `spec.template` is missing
      in default/deployment/a
      | spec: {selector: {matchLabels: {a: b}}}
    ");
}

#[test]
fn versions_that_are_not_served_are_reported() {
    assert_snapshot!(problems(&workload("extensions/v1beta1", "Deployment", "")), @"
    a.yaml:1:1: there is no `Deployment` in `extensions/v1beta1`
      | apiVersion: extensions/v1beta1
      hint: use `apiVersion: apps/v1`
    ");
    assert_snapshot!(problems("apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: a}\n"), @"
    a.yaml:1:1: there is no `NetworkPolicy` in `extensions/v1beta1`
      | apiVersion: extensions/v1beta1
      hint: use `apiVersion: networking.k8s.io/v1`
    ");
    assert_snapshot!(problems("apiVersion: v1\nkind: Deployment\nmetadata: {name: a}\n"), @"
    a.yaml:1:1: there is no `Deployment` in `v1`
      | apiVersion: v1
      hint: use `apiVersion: apps/v1`
    ");
    assert_snapshot!(problems("apiVersion: security.istio.io/v1alpha1\nkind: PeerAuthentication\nmetadata: {name: a}\n"), @"
    a.yaml:1:1: there is no `PeerAuthentication` in `security.istio.io/v1alpha1`
      | apiVersion: security.istio.io/v1alpha1
      hint: use `apiVersion: security.istio.io/v1`
    ");
}

#[test]
#[expect(clippy::too_many_lines, reason = "the whole workload is shown")]
fn pods_are_read_with_everything_that_analysis_needs() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: p
  namespace: shop
  labels: {app: p}
  annotations: {note: x}
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: rs, controller: true}
spec:
  serviceAccountName: robot
  hostNetwork: true
  initContainers:
  - name: once
    image: once:1
    command: [sh, -c, setup]
    ports: [{containerPort: 1}]
  - name: side
    image: side:1
    restartPolicy: Always
    ports: [{containerPort: 2, name: side}]
  containers:
  - name: main
    image: main:1
    args: [--listen, '80']
    env:
    - {name: A, value: db:5432}
    - {name: B, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    ports:
    - {containerPort: 80, name: http}
    - {containerPort: 53, protocol: UDP}
    livenessProbe: {httpGet: {path: /, port: http}}
    readinessProbe: {tcpSocket: {port: 80}}
    startupProbe: {grpc: {port: 9000}}
    lifecycle:
      preStop: {exec: {command: [stop]}}
  - name: second
    livenessProbe: {exec: {command: [check]}}
status:
  phase: Succeeded
  podIP: 10.0.0.1
  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]
";
    let loaded = load(text);
    assert_eq!(report(&loaded), "");
    insta::assert_debug_snapshot!(loaded.world.workloads[0], @r#"
    Workload {
        meta: Meta {
            name: "p",
            namespace: "shop",
            namespace_given: true,
            labels: {
                "app": "p",
            },
            annotations: {
                "note": "x",
            },
            owners: [
                OwnerRef {
                    kind: "ReplicaSet",
                    name: "rs",
                    controller: true,
                },
            ],
            created: None,
            origin: Origin {
                file: "a.yaml",
                document: 0,
                items: [],
                line: 1,
            },
        },
        kind: Pod,
        pod: PodTemplate {
            labels: {
                "app": "p",
            },
            annotations: {
                "note": "x",
            },
            service_account: "robot",
            host_network: true,
            windows: false,
            name_servers: [],
            asks_as_node: false,
            ports: [
                ContainerPort {
                    name: "side",
                    number: 2,
                    protocol: Tcp,
                    line: 21,
                },
                ContainerPort {
                    name: "http",
                    number: 80,
                    protocol: Tcp,
                    line: 30,
                },
                ContainerPort {
                    name: "",
                    number: 53,
                    protocol: Udp,
                    line: 31,
                },
            ],
            probes: [
                Probe {
                    container: "main",
                    port: Name(
                        "http",
                    ),
                },
                Probe {
                    container: "main",
                    port: Number(
                        80,
                    ),
                },
                Probe {
                    container: "main",
                    port: Number(
                        9000,
                    ),
                },
            ],
            containers: [
                "once",
                "side",
                "main",
                "second",
            ],
            images: [
                "once:1",
                "side:1",
                "main:1",
                "",
            ],
            commands: [
                "sh",
                "-c",
                "setup",
                "--listen",
                "80",
                "db:5432",
                "stop",
                "check",
            ],
            line: 1,
        },
        selector: None,
        replicas: None,
        addresses: [
            10.0.0.1,
            fd00::1,
        ],
        terminated: true,
        imagined: false,
    }
    "#);
    let namespace = &loaded.world.namespaces["shop"];
    assert!(!namespace.declared);
    assert_eq!(
        namespace.meta.labels,
        labels(&[("kubernetes.io/metadata.name", "shop")])
    );
}

#[test]
fn pods_of_windows_nodes_are_told() {
    let windows = |spec: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{{spec}, containers: [{{name: c}}]}}\n"
        );
        let loaded = load(&text);
        assert_eq!(report(&loaded), "");
        loaded.world.workloads[0].pod.windows
    };
    assert!(windows("os: {name: windows}"));
    assert!(windows("nodeSelector: {kubernetes.io/os: windows}"));
    assert!(!windows("os: {name: linux}, nodeSelector: {disk: fast}"));
}

#[test]
fn name_servers_of_pods_are_read() {
    let own = "dnsPolicy: None, dnsConfig: {nameservers: [10.9.9.9]}";
    for (dns, servers, of_node) in [
        ("dnsPolicy: ClusterFirst", "", false),
        ("dnsPolicy: Default", "", true),
        (own, "10.9.9.9", false),
    ] {
        let spec = format!("spec: {{{dns}, containers: [{{name: c}}]}}");
        let loaded = load(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\n{spec}\n"
        ));
        let pod = &loaded.world.workloads[0].pod;
        assert_eq!(
            (pod.name_servers.concat(), pod.asks_as_node),
            (servers.to_owned(), of_node)
        );
    }
}

#[test]
fn fields_that_differ_in_case_only_are_not_passed_over() {
    let text = "\
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  hostnetwork: true
  containers:
  - name: c
    Ports: [{containerport: 1}]
    ports: [{containerPort: 1, containerport: 2}]
";
    assert_snapshot!(problems(text), @"
    a.yaml:5:3: `spec.hostnetwork` is not a field of the API
      in default/pod/p
      |   hostnetwork: true
      hint: did you mean `hostNetwork`?
    a.yaml:8:5: `spec.containers[0].Ports` is not a field of the API
      in default/pod/p
      |     Ports: [{containerport: 1}]
      hint: did you mean `ports`?
    a.yaml:9:32: `spec.containers[0].ports[0].containerport` is not a field of the API
      in default/pod/p
      |     ports: [{containerPort: 1, containerport: 2}]
      hint: did you mean `containerPort`?
    ");
}

#[test]
fn containers_are_checked() {
    let pod = |spec: &str| {
        problems(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}\n"
        ))
    };
    assert_snapshot!(pod("{}"), @"
    a.yaml:4:7: `spec.containers` is missing
      in default/pod/p
      | spec: {}
    ");
    assert_snapshot!(pod("{containers: []}"), @"
    a.yaml:4:20: `spec.containers` must have a container
      in default/pod/p
      | spec: {containers: []}
    ");
    assert_snapshot!(pod("{containers: [{image: x}, {name: A_B}, {name: c}, {name: c}]}"), @"
    a.yaml:4:21: `spec.containers[0].name` is missing
      in default/pod/p
      | spec: {containers: [{image: x}, {name: A_B}, {name: c}, {name: c}]}
    a.yaml:4:40: `spec.containers[1].name` is `A_B`; the name of a container must be lower-case letters, digits and `-`, with a letter or digit at both ends
      in default/pod/p
      | spec: {containers: [{image: x}, {name: A_B}, {name: c}, {name: c}]}
    a.yaml:4:64: `spec.containers[3].name` is `c`, the name of another container already
      in default/pod/p
      | spec: {containers: [{image: x}, {name: A_B}, {name: c}, {name: c}]}
    ");
    assert_snapshot!(pod("{containers: [{name: c, ports: [{}, {containerPort: 0}, {containerPort: \"80\"}, {containerPort: 1, name: a.b}, {containerPort: 2, name: x}, {containerPort: 3, name: x, protocol: tcp}]}]}"), @r#"
    a.yaml:4:39: `spec.containers[0].ports[0].containerPort` is missing
      in default/pod/p
      | spec: {containers: [{name: c, ports: [{}, {containerPort: 0}, {containerPort: "80"}, {containerPort: 1, name: a.b}, {containerPort: 2, name: x}, {containerPort:…
    a.yaml:4:59: `spec.containers[0].ports[1].containerPort` is 0; a port must be between 1 and 65535
      in default/pod/p
      | spec: {containers: [{name: c, ports: [{}, {containerPort: 0}, {containerPort: "80"}, {containerPort: 1, name: a.b}, {containerPort: 2, name: x}, {containerPort:…
    a.yaml:4:79: `spec.containers[0].ports[2].containerPort` must be a number, and is a string
      in default/pod/p
      | spec: {containers: [{name: c, ports: [{}, {containerPort: 0}, {containerPort: "80"}, {containerPort: 1, name: a.b}, {containerPort: 2, name: x}, {containerPort:…
      hint: remove the quotes: `80`
    a.yaml:4:111: `spec.containers[0].ports[3].name` is `a.b`; a port name must be lower-case letters, digits and `-`
      in default/pod/p
      | …ports: [{}, {containerPort: 0}, {containerPort: "80"}, {containerPort: 1, name: a.b}, {containerPort: 2, name: x}, {containerPort: 3, name: x, protocol: tcp}]}]…
    a.yaml:4:171: `spec.containers[0].ports[5].name` is `x`, the name of another port of this container
      in default/pod/p
      | …ainerPort: 1, name: a.b}, {containerPort: 2, name: x}, {containerPort: 3, name: x, protocol: tcp}]}]}
    a.yaml:4:184: `spec.containers[0].ports[5].protocol` is `tcp`; it must be one of `TCP`, `UDP`, `SCTP`
      in default/pod/p
      | … name: a.b}, {containerPort: 2, name: x}, {containerPort: 3, name: x, protocol: tcp}]}]}
      hint: did you mean `TCP`?
    "#);
    assert_snapshot!(pod("{containers: [{name: c, livenessProbe: {httpGet: {path: /}}, readinessProbe: {tcpSocket: {port: '80'}}, startupProbe: {grpc: {port: x}}}]}"), @"
    a.yaml:4:56: `spec.containers[0].livenessProbe.httpGet.port` is missing
      in default/pod/p
      | spec: {containers: [{name: c, livenessProbe: {httpGet: {path: /}}, readinessProbe: {tcpSocket: {port: '80'}}, startupProbe: {grpc: {port: x}}}]}
    a.yaml:4:103: `spec.containers[0].readinessProbe.tcpSocket.port` is `80`; a port name must have at least one letter
      in default/pod/p
      | spec: {containers: [{name: c, livenessProbe: {httpGet: {path: /}}, readinessProbe: {tcpSocket: {port: '80'}}, startupProbe: {grpc: {port: x}}}]}
      hint: remove the quotes: `80`
    a.yaml:4:139: `spec.containers[0].startupProbe.grpc.port` must be a number, and is a string
      in default/pod/p
      | spec: {containers: [{name: c, livenessProbe: {httpGet: {path: /}}, readinessProbe: {tcpSocket: {port: '80'}}, startupProbe: {grpc: {port: x}}}]}
    ");
    assert_snapshot!(pod("{hostNetwork: 'true', containers: [{name: c, command: [1], env: [{name: A, value: yes}]}]}"), @r#"
    a.yaml:4:21: `spec.hostNetwork` must be a boolean, and is a string
      in default/pod/p
      | spec: {hostNetwork: 'true', containers: [{name: c, command: [1], env: [{name: A, value: yes}]}]}
      hint: remove the quotes: `true`
    a.yaml:4:62: `spec.containers[0].command[0]` must be a string, and `1` is read as a number
      in default/pod/p
      | spec: {hostNetwork: 'true', containers: [{name: c, command: [1], env: [{name: A, value: yes}]}]}
      hint: put it in quotes: `"1"`
    a.yaml:4:89: `spec.containers[0].env[0].value` must be a string, and `yes` is read as a boolean
      in default/pod/p
      | spec: {hostNetwork: 'true', containers: [{name: c, command: [1], env: [{name: A, value: yes}]}]}
      hint: put it in quotes: `"yes"`
    "#);
}

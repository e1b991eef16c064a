//! `policy`: connectivity of small manifests.

use crate::harness::Ambient;
use crate::manifests::SHARED;

fn run(arguments: &[&str]) -> String {
    Ambient::new()
        .file("before/shop.yaml", SHARED)
        .file("after/shop.yaml", &SHARED.replace("5432", "5433"))
        .args(arguments.iter().copied())
        .run()
        .to_string()
}

#[test]
fn connections_are_listed_in_both_modes() {
    insta::assert_snapshot!(run(&["policy", "list", "-f", "before"]), @"
    exit code: 0
    ----- stdout -----
    0.0.0.0-255.255.255.255 => shop/admin[Pod] : All Connections
    0.0.0.0-255.255.255.255 => shop/web[Pod] : All Connections
    ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff => shop/admin[Pod] : All Connections
    ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff => shop/web[Pod] : All Connections
    shop/admin[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/admin[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/admin[Pod] => shop/db[Pod] : TCP 9000
    shop/admin[Pod] => shop/web[Pod] : All Connections
    shop/db[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/db[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/db[Pod] => shop/admin[Pod] : All Connections
    shop/db[Pod] => shop/web[Pod] : All Connections
    shop/web[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/web[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/web[Pod] => shop/admin[Pod] : All Connections
    shop/web[Pod] => shop/db[Pod] : TCP 5432
    ----- stderr -----
    ");
    insta::assert_snapshot!(run(&["policy", "list", "-f", "before", "--mode", "tunnel"]), @"
    exit code: 0
    ----- stdout -----
    0.0.0.0-255.255.255.255 => shop/admin[Pod] : All Connections
    0.0.0.0-255.255.255.255 => shop/web[Pod] : All Connections
    ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff => shop/admin[Pod] : All Connections
    ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff => shop/web[Pod] : All Connections
    shop/admin[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/admin[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/admin[Pod] => shop/web[Pod] : All Connections
    shop/db[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/db[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/db[Pod] => shop/admin[Pod] : All Connections
    shop/db[Pod] => shop/web[Pod] : All Connections
    shop/web[Pod] => 0.0.0.0-255.255.255.255 : All Connections
    shop/web[Pod] => ::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff : All Connections
    shop/web[Pod] => shop/admin[Pod] : All Connections
    ----- stderr -----
    ");
}

#[test]
fn a_connection_is_explained() {
    insta::assert_snapshot!(
        run(&["policy", "explain", "shop/web", "shop/db:5432", "-f", "before"]),
        @"
        exit code: 0
        ----- stdout -----
        shop/web[Pod] => shop/db[Pod] (TCP 5432) : TCP 5432

        egress of shop/web[Pod] : TCP 5432
          default decides: no policy isolates it for egress

        ingress of shop/db[Pod] : TCP 5432
          NetworkPolicy decides: isolated for ingress by `shop/networkpolicy/db`
        POLICY                  RULE         WHERE                ALLOWS
        shop/networkpolicy/db   ingress[0]   before/shop.yaml:7   TCP 5432
        ----- stderr -----
        "
    );
}

#[test]
fn an_unknown_party_gets_suggestions() {
    insta::assert_snapshot!(
        run(&["policy", "explain", "shop/wep", "shop/db", "-f", "before"]),
        @"
    exit code: 2
    ----- stdout -----
    ----- stderr -----
    error: there is no `shop/wep` in the input
    hint: did you mean `shop/web`?
    "
    );
}

#[test]
fn a_difference_exits_with_1() {
    insta::assert_snapshot!(run(&["policy", "diff", "before", "after"]), @"
    exit code: 1
    ----- stdout -----
    ~ shop/web[Pod] => shop/db[Pod] : TCP 5432 -> TCP 5433
    ----- stderr -----
    ");
    insta::assert_snapshot!(run(&["policy", "diff", "before", "before"]), @"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    ");
}

#[test]
fn policies_that_differ_for_pods_that_are_not_there_are_named() {
    let (policy, _) = SHARED.split_once("---").unwrap();
    let run = |arguments: &[&str]| {
        Ambient::new()
            .file("before/db.yaml", policy)
            .file("after/db.yaml", &policy.replace("5432", "5433"))
            .args(arguments.iter().copied())
            .run()
    };
    insta::assert_snapshot!(run(&["policy", "diff", "before", "after"]), @"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    warning: policies differ that change nothing between the workloads of the inputs, and for pods that these do not hold nothing is compared: `shop/networkpolicy/db`
    ");
    let json = run(&["policy", "diff", "before", "after", "-o", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["notCompared"][0]["name"], "db", "{json}");
    insta::assert_snapshot!(run(&["policy", "list", "-f", "before"]), @"
    exit code: 0
    ----- stdout -----
    ----- stderr -----
    No connections found: the input holds no workload.
    ");
}

#[test]
fn policies_that_are_not_evaluated_are_named() {
    let cilium = "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\n\
                  metadata: {name: rules, namespace: shop}\nspec: {}\n\
                  ---\napiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\n\
                  metadata: {name: later, namespace: shop}\nspec: {}\n";
    let shop = SHARED.replace(
        "podSelector: {matchLabels: {app: web}}",
        "ipBlock: {cidr: 10.0.0.0/8}",
    );
    let run = |arguments: &[&str]| {
        let run = Ambient::new()
            .file("before/shop.yaml", &(shop.clone() + cilium))
            .file("after/shop.yaml", &shop)
            .args(arguments.iter().copied())
            .run();
        (run.code, run.stderr, run.stdout)
    };
    let commands: [&[&str]; 3] = [
        &["policy", "list", "-f", "before"],
        &["policy", "explain", "shop/web", "shop/db", "-f", "before"],
        &["policy", "diff", "before", "after"],
    ];
    let told = commands.map(|arguments| {
        let (code, stderr, _) = run(arguments);
        format!("{}: {code}\n{stderr}", arguments.join(" "))
    });
    insta::assert_snapshot!(told.concat(), @"
    policy list -f before: 0
    warning: more may be allowed between 2 pairs: an `ipBlock` or host network decides
    warning: policies of the network plugin are not evaluated, and may allow or refuse more: `shop/ciliumnetworkpolicy/rules`
    policy explain shop/web shop/db -f before: 0
    warning: more may be allowed between 1 pair: an `ipBlock` or host network decides
    warning: policies of the network plugin are not evaluated, and may allow or refuse more: `shop/ciliumnetworkpolicy/rules`
    policy diff before after: 0
    warning: more may be allowed between 2 pairs: an `ipBlock` or host network decides
    warning: policies of the network plugin are not evaluated, and may allow or refuse more: `shop/ciliumnetworkpolicy/rules`
    ");
    for arguments in commands {
        let (_, _, stdout) = run(&[arguments, &["-o", "json"]].concat());
        let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!(
            document["notEvaluated"][0]["kind"], "CiliumNetworkPolicy",
            "{stdout}"
        );
        assert_ne!(document["uncertain"], 0, "{stdout}");
    }
}

/// A policy that lets one range of addresses in, and pods that may have them.
const BLOCK: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{ipBlock: {cidr: 203.0.113.0/24}}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: main, image: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db}}
spec: {containers: [{name: main, image: main}]}
";

#[test]
fn pods_are_where_the_flag_says() {
    let run = |text: &str, flags: &[&str]| {
        let run = Ambient::new()
            .file("shop.yaml", text)
            .args(["policy", "list", "-f", "shop.yaml"])
            .args(flags.iter().copied())
            .run();
        assert_eq!(run.code, 0, "{run}");
        format!("{}\n{}", flags.join(" "), run.stderr)
    };
    let node = BLOCK.replacen("spec: {", "spec: {hostNetwork: true, ", 1);
    let runs = [
        run(BLOCK, &[]),
        run(BLOCK, &["--pod-cidr", "10.0.0.0/8"]),
        run(
            BLOCK,
            &["--pod-cidr", "10.0.0.0/8", "--pod-cidr", "203.0.112.0/20"],
        ),
        run(&node, &[]),
        run(&node, &["--pod-cidr", "10.0.0.0/8"]),
    ];
    insta::assert_snapshot!(runs.join("\n"), @"


    --pod-cidr 10.0.0.0/8

    --pod-cidr 10.0.0.0/8 --pod-cidr 203.0.112.0/20
    warning: more may be allowed between 1 pair: an `ipBlock` or host network decides


    warning: more may be allowed between 1 pair: an `ipBlock` or host network decides

    --pod-cidr 10.0.0.0/8
    warning: more may be allowed between 1 pair: an `ipBlock` or host network decides
    ");
}

/// A database behind a Service, with a port that has a name.
const SERVICE: &str = "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - ports: [{port: sql}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec:
  selector: {app: db}
  ports:
  - {name: sql, port: 80, targetPort: sql}
  - {name: admin, port: 81, targetPort: 9000}
---
apiVersion: v1
kind: Service
metadata: {name: all, namespace: shop}
spec: {selector: {tier: shop}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: gone, namespace: shop}
spec: {selector: {app: gone}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web, tier: shop}}
spec: {containers: [{name: main, image: main}]}
---
apiVersion: v1
kind: Pod
metadata: {name: db, namespace: shop, labels: {app: db, tier: shop}}
spec: {containers: [{name: main, image: main, ports: [{name: sql, containerPort: 5432}]}]}
";

#[test]
fn services_and_names_of_ports_lead_to_the_ports_of_pods() {
    let first_line = |destination: &str| {
        let run = Ambient::new()
            .file("shop.yaml", SERVICE)
            .args([
                "policy",
                "explain",
                "shop/web",
                destination,
                "-f",
                "shop.yaml",
            ])
            .run();
        let line = run.stdout.lines().next().unwrap_or_default();
        format!(
            "{destination} {}\n{line}{}",
            run.code,
            run.stderr.trim_end()
        )
    };
    let lines = [
        "shop/db:sql",
        "svc/db",
        "svc/db.shop:80",
        "svc/db:sql",
        "service/db.shop.svc.cluster.local:81",
        "svc/db:82",
        "svc/db:sql/udp",
        "shop/db:http",
        "10.0.0.1:http",
        "svc/bd",
        "svc/bd.shop",
        "svc/all:80",
        "svc/gone:80",
        "shop/bd",
        "deployment/db",
    ];
    insta::assert_snapshot!(lines.map(first_line).join("\n"), @"
    shop/db:sql 0
    shop/web[Pod] => shop/db[Pod] (TCP 5432) : TCP 5432
    svc/db 0
    shop/web[Pod] => shop/db[Pod] (TCP 5432,9000) : TCP 5432
    svc/db.shop:80 0
    shop/web[Pod] => shop/db[Pod] (TCP 5432) : TCP 5432
    svc/db:sql 0
    shop/web[Pod] => shop/db[Pod] (TCP 5432) : TCP 5432
    service/db.shop.svc.cluster.local:81 0
    shop/web[Pod] => shop/db[Pod] (TCP 9000) : No Connections
    svc/db:82 2
    error: `svc/db.shop` has no port `82`
    hint: it has `sql`, `80`, `admin`, `81`
    svc/db:sql/udp 2
    error: `svc/db.shop` has no port `sql/UDP`
    hint: it has `sql`, `80`, `admin`, `81`
    shop/db:http 2
    error: `shop/db[Pod]` has no port `http`
    hint: it has `sql`
    10.0.0.1:http 2
    error: `10.0.0.1` has no port `http`
    hint: name the port by its number
    svc/bd 2
    error: there is no `svc/bd` in the input
    hint: did you mean `svc/db.shop`?
    svc/bd.shop 2
    error: there is no `svc/bd.shop` in the input
    hint: did you mean `svc/db.shop`?
    svc/all:80 2
    error: `svc/all` may be `shop/db[Pod]` or `shop/web[Pod]`
    hint: name one of them in full
    svc/gone:80 2
    error: `svc/gone` has no pods in the input
    hint: add the manifests of the pods that its `spec.selector` selects with another `-f`
    shop/bd 2
    error: there is no `shop/bd` in the input
    hint: did you mean `shop/db`?
    deployment/db 2
    error: there is no `deployment/db` in the input
    hint: did you mean `shop/db`?
    ");
}

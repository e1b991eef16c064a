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
        hint: name a workload as `namespace/name`; `kubectl ambient policy list` shows them
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

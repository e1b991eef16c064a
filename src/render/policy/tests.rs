use super::*;

fn sample() -> Explanation {
    let rule = RuleExplanation {
        policy: ObjectRef::namespaced("shop", "NetworkPolicy", "db"),
        rule: 2,
        origin: Origin {
            file: "k8s/shop.yaml".into(),
            document: 0,
            items: Vec::new(),
            line: 12,
        },
        allows: "TCP 5432".to_owned(),
    };
    let side = |direction, tier: &str, because: &str, allowed: &str, rules| SideExplanation {
        direction,
        allowed: allowed.to_owned(),
        tier: tier.to_owned(),
        because: because.to_owned(),
        rules,
    };
    Explanation {
        source: "shop/web[Deployment]".into(),
        destination: "shop/db[StatefulSet]".into(),
        asked: Some("TCP 5432".to_owned()),
        allowed: "TCP 5432".to_owned(),
        open: Open::default(),
        sides: vec![
            side(
                Direction::Egress,
                "no tier",
                "no policy isolates the pods",
                "All Connections",
                Vec::new(),
            ),
            side(
                Direction::Ingress,
                "NetworkPolicy",
                "1 of 2 policies allows it",
                "TCP 5432",
                vec![rule],
            ),
        ],
    }
}

fn left_open() -> Open {
    let policy = |name: &str| ObjectRef::namespaced("shop", "CiliumNetworkPolicy", name);
    Open {
        uncertain: 2,
        not_evaluated: ["a", "b", "c", "d", "e"].map(policy).to_vec(),
        not_compared: Vec::new(),
    }
}

fn pairs() -> Vec<ConnectionChange> {
    let pair = |destination: &str, before: Option<&str>, after: Option<&str>| ConnectionChange {
        source: "shop/web[Deployment]".into(),
        destination: destination.into(),
        before: before.map(Into::into),
        after: after.map(Into::into),
    };
    vec![
        pair("0.0.0.0-255.255.255.255", None, Some("TCP 443")),
        pair("shop/cache[Pod]", Some("TCP 80"), Some("TCP 80,443")),
        pair("shop/db[StatefulSet]", Some("All Connections"), None),
    ]
}

#[test]
fn connections_are_lines_of_their_own() {
    let connection = Connection {
        source: "shop/web[Deployment]".into(),
        destination: "shop/db[StatefulSet]".into(),
        connections: "TCP 80,8000-8090,UDP 53".into(),
    };
    insta::assert_snapshot!(connections(std::slice::from_ref(&connection)), @"shop/web[Deployment] => shop/db[StatefulSet] : TCP 80,8000-8090,UDP 53");
    insta::assert_snapshot!(connections_json("tunnel", &[connection], &left_open()), @r#"
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "Connectivity",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "mode": "tunnel",
      "connections": [
        {
          "source": "shop/web[Deployment]",
          "destination": "shop/db[StatefulSet]",
          "connections": "TCP 80,8000-8090,UDP 53"
        }
      ],
      "uncertain": 2,
      "notEvaluated": [
        {
          "namespace": "shop",
          "kind": "CiliumNetworkPolicy",
          "name": "a"
        },
        {
          "namespace": "shop",
          "kind": "CiliumNetworkPolicy",
          "name": "b"
        },
        {
          "namespace": "shop",
          "kind": "CiliumNetworkPolicy",
          "name": "c"
        },
        {
          "namespace": "shop",
          "kind": "CiliumNetworkPolicy",
          "name": "d"
        },
        {
          "namespace": "shop",
          "kind": "CiliumNetworkPolicy",
          "name": "e"
        }
      ]
    }
    "#);
}

#[test]
fn differences_say_what_was_and_what_is() {
    insta::assert_snapshot!(changes(&pairs(), Style::default()), @"
    + shop/web[Deployment] => 0.0.0.0-255.255.255.255 : No Connections -> TCP 443
    ~ shop/web[Deployment] => shop/cache[Pod] : TCP 80 -> TCP 80,443
    - shop/web[Deployment] => shop/db[StatefulSet] : All Connections -> No Connections
    ");
    insta::assert_snapshot!(changes_json("plaintext", &pairs(), &Open::default()), @r#"
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "ConnectivityDiff",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "mode": "plaintext",
      "changes": [
        {
          "source": "shop/web[Deployment]",
          "destination": "0.0.0.0-255.255.255.255",
          "before": null,
          "after": "TCP 443"
        },
        {
          "source": "shop/web[Deployment]",
          "destination": "shop/cache[Pod]",
          "before": "TCP 80",
          "after": "TCP 80,443"
        },
        {
          "source": "shop/web[Deployment]",
          "destination": "shop/db[StatefulSet]",
          "before": "All Connections",
          "after": null
        }
      ],
      "uncertain": 0,
      "notEvaluated": [],
      "notCompared": []
    }
    "#);
}

#[test]
fn an_explanation_names_tiers_and_rules() {
    insta::assert_snapshot!(explanation(&sample(), Style::default()), @"
    shop/web[Deployment] => shop/db[StatefulSet] (TCP 5432) : TCP 5432

    egress of shop/web[Deployment] : All Connections
      no tier decides: no policy isolates the pods

    ingress of shop/db[StatefulSet] : TCP 5432
      NetworkPolicy decides: 1 of 2 policies allows it
    POLICY                  RULE         WHERE              ALLOWS
    shop/networkpolicy/db   ingress[2]   k8s/shop.yaml:12   TCP 5432
    ");
    insta::assert_snapshot!(explanation_json("plaintext", &sample()), @r#"
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "ConnectivityExplanation",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "mode": "plaintext",
      "source": "shop/web[Deployment]",
      "destination": "shop/db[StatefulSet]",
      "asked": "TCP 5432",
      "allowed": "TCP 5432",
      "sides": [
        {
          "direction": "egress",
          "allowed": "All Connections",
          "tier": "no tier",
          "because": "no policy isolates the pods",
          "rules": []
        },
        {
          "direction": "ingress",
          "allowed": "TCP 5432",
          "tier": "NetworkPolicy",
          "because": "1 of 2 policies allows it",
          "rules": [
            {
              "policy": {
                "namespace": "shop",
                "kind": "NetworkPolicy",
                "name": "db"
              },
              "rule": 2,
              "origin": {
                "file": "k8s/shop.yaml",
                "document": 0,
                "line": 12
              },
              "allows": "TCP 5432"
            }
          ]
        }
      ],
      "uncertain": 0,
      "notEvaluated": []
    }
    "#);
}

#[test]
fn a_refusal_is_said_in_words() {
    let mut refused = sample();
    refused.asked = None;
    refused.allowed = NO_CONNECTIONS.to_owned();
    for side in &mut refused.sides {
        side.allowed = NO_CONNECTIONS.to_owned();
        side.rules.clear();
    }
    insta::assert_snapshot!(explanation(&refused, Style::default()), @"
    shop/web[Deployment] => shop/db[StatefulSet] : No Connections

    egress of shop/web[Deployment] : No Connections
      no tier decides: no policy isolates the pods

    ingress of shop/db[StatefulSet] : No Connections
      NetworkPolicy decides: 1 of 2 policies allows it
    ");
}

#[test]
fn what_an_answer_leaves_open_is_said() {
    assert_eq!(open(&Open::default(), Style::default()), "");
    insta::assert_snapshot!(open(&left_open(), Style::default()), @"
    warning: more may be allowed between 2 pairs: an `ipBlock` or host network decides
    warning: policies of the network plugin are not evaluated, and may allow or refuse more: `shop/ciliumnetworkpolicy/a`, `shop/ciliumnetworkpolicy/b`, `shop/ciliumnetworkpolicy/c`, 2 more
    ");
    let one = Open {
        uncertain: 1,
        not_evaluated: vec![ObjectRef::cluster("AdminNetworkPolicy", "base")],
        not_compared: vec![ObjectRef::namespaced("shop", "NetworkPolicy", "db")],
    };
    insta::assert_snapshot!(open(&one, Style::default()), @"
    warning: more may be allowed between 1 pair: an `ipBlock` or host network decides
    warning: policies of the network plugin are not evaluated, and may allow or refuse more: `adminnetworkpolicy/base`
    warning: policies differ that change nothing between the workloads of the inputs, and for pods that these do not hold nothing is compared: `shop/networkpolicy/db`
    ");
}

use std::time::Duration;

use ambient_identity::{Authority, Clock, FetchError, SpiffeId, Store, StoreOptions, Trust};

use super::*;

const MESH: &str = "
workloads:
- {uid: c//Pod/shop/client-1, name: client-1, namespace: shop, serviceAccount: default,
   workloadName: client, workloadType: deployment, canonicalName: client, canonicalRevision: latest,
   clusterId: Kubernetes, node: n1, protocol: HBONE, workloadIps: [10.244.1.4],
   locality: {region: r1, zone: z1}, services: {}}
- {uid: c//Pod/shop/server-1, name: server-1, namespace: shop, network: west, networkMode: HostNetwork,
   workloadIps: [10.244.2.5], services: {shop/server.shop: {80: 8080}}}
services:
- {name: server, namespace: shop, hostname: server.shop, vips: [/10.96.0.9], ports: {80: 8080},
   subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/gate']}
";

#[test]
fn what_is_known_has_the_shape_of_ztunnels_dump() {
    let snapshot = Snapshot::from_yaml("mesh.yaml".as_ref(), MESH).unwrap();
    let name = "shop/client-1/default".parse().unwrap();
    let known = Known::new(snapshot, &name).unwrap();
    let address = |text: &str| text.parse().unwrap();
    let connection = OpenConnection {
        direction: Direction::Outbound,
        source: address("10.244.1.4:45880"),
        asked: address("10.96.0.9:80"),
        destination: address("10.244.2.5:8080"),
        is_tunnelled: false,
    };
    let identity = |account: &str| -> SpiffeId {
        format!("spiffe://cluster.local/ns/shop/sa/{account}")
            .parse()
            .unwrap()
    };
    let status = |account: &str, error: Option<&str>| Status {
        identity: identity(account),
        workload: None,
        failures: 0,
        error: error.map(|e| Arc::new(FetchError::Refused(e.to_owned()))),
    };
    let dump = Dump {
        known: &known,
        certificates: &[status("a", None), status("b", Some("not you"))],
        connections: &[connection],
        config: &json!({"workers": 2}),
        version: "1.2.3",
    };
    assert_eq!(dump.to_json(), EXPECTED);
}

#[test]
fn what_moves_the_cursor_of_a_terminal_is_escaped() {
    let named = |name: &str| {
        format!("workloads:\n- {{uid: {name}, name: a, namespace: b, services: {{}}}}\n")
    };
    let text = named(r#""\e[2J\x7f\x9b2Jé\u2028""#);
    let snapshot = Snapshot::from_yaml("mesh.yaml".as_ref(), &text).unwrap();
    let known = Known::new(snapshot, &"b/a/default".parse().unwrap()).unwrap();
    let dump = Dump {
        known: &known,
        certificates: &[],
        connections: &[],
        config: &json!({}),
        version: "1.2.3",
    };
    let shown = dump.to_json();
    let uid = shown.lines().find(|line| line.contains("\"uid\"")).unwrap();
    assert_eq!(
        uid.trim(),
        r#""uid": "\u001b[2J\u007f\u009b2Jé\u2028","#.replace("\\u2028", "\u{2028}")
    );
    let read: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        read["workloads"][0]["uid"],
        "\u{1b}[2J\u{7f}\u{9b}2Jé\u{2028}"
    );
}

#[tokio::test]
async fn a_certificate_is_shown_with_its_validity_and_without_its_key() {
    let authority = Authority::generate("test", Clock::system()).unwrap();
    let authority = authority.with_lifetime(Duration::from_hours(1));
    let trust = Trust::new([]);
    let store = Store::start(authority, trust, StoreOptions::default());
    let identity: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web".parse().unwrap();
    let workload = store.get(&identity).await.unwrap();
    let shown = certificate(store.list().first().unwrap());
    let (from, to) = (
        workload.certificate().not_before,
        workload.certificate().not_after,
    );
    assert_eq!(
        shown,
        json!({
            "identity": "spiffe://cluster.local/ns/shop/sa/web",
            "state": "Available",
            "certChain": [{
                "validFrom": time(from),
                "expirationTime": time(to),
                "issuer": workload.certificate().issuer,
            }],
        })
    );
    assert_eq!(
        (time(1_795_481_211).as_str(), time(i64::MAX).as_str()),
        ("2026-11-24T00:46:51Z", "9223372036854775807")
    );
}

const EXPECTED: &str = r#"{
  "workloads": [
    {
      "uid": "c//Pod/shop/client-1",
      "name": "client-1",
      "namespace": "shop",
      "serviceAccount": "default",
      "trustDomain": "cluster.local",
      "workloadIps": [
        "10.244.1.4"
      ],
      "networkMode": "Standard",
      "protocol": "HBONE",
      "status": "Healthy",
      "clusterId": "Kubernetes",
      "node": "n1",
      "canonicalName": "client",
      "canonicalRevision": "latest",
      "workloadName": "client",
      "workloadType": "deployment",
      "locality": {
        "region": "r1",
        "zone": "z1",
        "subzone": ""
      }
    },
    {
      "uid": "c//Pod/shop/server-1",
      "name": "server-1",
      "namespace": "shop",
      "serviceAccount": "default",
      "trustDomain": "cluster.local",
      "workloadIps": [
        "10.244.2.5"
      ],
      "network": "west",
      "networkMode": "HostNetwork",
      "protocol": "TCP",
      "status": "Healthy",
      "workloadType": "deployment",
      "services": [
        "shop/server.shop"
      ]
    }
  ],
  "services": [
    {
      "name": "server",
      "namespace": "shop",
      "hostname": "server.shop",
      "vips": [
        "/10.96.0.9"
      ],
      "ports": {
        "80": 8080
      },
      "endpoints": {
        "c//Pod/shop/server-1": {
          "workloadUid": "c//Pod/shop/server-1",
          "port": {
            "80": 8080
          },
          "status": "Healthy"
        }
      },
      "subjectAltNames": [
        "spiffe://cluster.local/ns/shop/sa/gate"
      ]
    }
  ],
  "policies": [],
  "stagedServices": {},
  "staticConfig": {
    "policies": [],
    "services": [],
    "workloads": []
  },
  "version": {
    "version": "1.2.3"
  },
  "config": {
    "workers": 2
  },
  "certificates": [
    {
      "identity": "spiffe://cluster.local/ns/shop/sa/a",
      "state": "Initializing",
      "certChain": []
    },
    {
      "identity": "spiffe://cluster.local/ns/shop/sa/b",
      "state": "Unavailable: the certificate authority gives no certificate: not you",
      "certChain": []
    }
  ],
  "workloadState": {
    "c//Pod/shop/client-1": {
      "state": "Up",
      "connections": {
        "inbound": [],
        "outbound": [
          {
            "src": "10.244.1.4:45880",
            "originalDst": "10.96.0.9:80",
            "actualDst": "10.244.2.5:8080",
            "protocol": "TCP"
          }
        ]
      },
      "info": {
        "name": "client-1",
        "namespace": "shop",
        "serviceAccount": "default"
      }
    }
  }
}
"#;

use std::fmt::Write as _;

use super::*;

const MESH: &str = "
workloads:
- {uid: own, name: own, namespace: shop, serviceAccount: own, protocol: HBONE,
   workloadIps: [10.0.0.1, 'fd00::1'], services: {shop/own.shop: {80: 8080, 81: 15006}}}
- {uid: plain, name: plain, namespace: shop, workloadIps: [10.0.0.2], services: {shop/mixed.shop: {80: 1}}}
- {uid: meshed, name: meshed, namespace: shop, serviceAccount: meshed, protocol: HBONE,
   workloadIps: [10.0.0.3, 'fd00::3'], services: {shop/mixed.shop: {80: 2, 443: 3}, other/named.other: {}}}
- {uid: six, name: six, namespace: shop, protocol: HBONE, workloadIps: ['fd00::4'], services: {shop/six.shop: {}}}
- {uid: sick, name: sick, namespace: shop, workloadIps: [10.0.0.5], status: Unhealthy, protocol: HBONE,
   services: {shop/sick.shop: {80: 80}}}
- {uid: nowhere, name: nowhere, namespace: shop, services: {shop/nowhere.shop: {80: 80}}}
- {uid: far, name: far, namespace: shop, network: west, workloadIps: [10.0.0.7], protocol: HBONE,
   services: {shop/far.shop: {80: 80}}}
services:
- {name: own, namespace: shop, hostname: own.shop, vips: [/10.9.0.1], ports: {80: 80}}
- {name: mixed, namespace: shop, hostname: mixed.shop, vips: [/10.9.0.2], ports: {80: 80},
   subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/gate']}
- {name: named, namespace: other, hostname: named.other, vips: [/10.9.0.3], ports: {80: 0}}
- {name: six, namespace: shop, hostname: six.shop, vips: [/10.9.0.4], ports: {80: 80}}
- {name: sick, namespace: shop, hostname: sick.shop, vips: [/10.9.0.5], ports: {80: 80}}
- {name: nowhere, namespace: shop, hostname: nowhere.shop, vips: [/10.9.0.6], ports: {80: 80}}
- {name: far, namespace: shop, hostname: far.shop, vips: [/10.9.0.7], ports: {80: 80}}
";

fn mesh() -> (Snapshot, Here) {
    let snapshot = Snapshot::from_yaml("mesh.yaml".as_ref(), MESH).unwrap();
    let own = snapshot.workload(&"shop/own/own".parse().unwrap()).unwrap();
    let here = Here::of(Arc::clone(own));
    (snapshot, here)
}

fn told(decision: &Decision) -> String {
    let mut text = match &decision.way {
        Ok(Way::Plain(address)) => format!("plain {address}"),
        Ok(Way::Tunnel(through)) => {
            let expected = through.expected.iter().map(SpiffeId::service_account);
            let expected: Vec<_> = expected.collect();
            let (target, relay) = (&through.target, through.relay);
            format!("{target} through {relay} of {}", expected.join("|"))
        }
        Err(refusal) => format!("refused: {refusal}"),
    };
    if let Some(other) = &decision.other {
        _ = write!(text, "; other {}", other.uid);
    }
    if let Some(service) = &decision.service {
        _ = write!(text, "; service {}", service.hostname);
    }
    text
}

#[test]
fn outbound_connections_go_where_services_and_workloads_are() {
    let (snapshot, here) = mesh();
    let mut lines = String::new();
    for (destination, draw) in [
        // Not known: outside of the mesh.
        ("192.0.2.1:443", 0),
        ("127.0.0.1:80", 0),
        // Workloads by their addresses, healthy or not.
        ("10.0.0.2:80", 0),
        ("10.0.0.3:80", 0),
        ("[fd00::3]:80", 0),
        ("[::ffff:10.0.0.3]:80", 0),
        ("10.0.0.5:80", 0),
        ("10.0.0.1:80", 0),
        // Of another network, so not known here.
        ("10.0.0.7:80", 0),
        // Services: each endpoint in its own way.
        ("10.9.0.2:80", 0),
        ("10.9.0.2:80", 1),
        ("10.9.0.2:80", u64::MAX),
        // A port that one endpoint has, and one that none has.
        ("10.9.0.2:443", 7),
        ("10.9.0.2:9", 0),
        ("10.9.0.3:80", 0),
        // An endpoint of the other family, none that is healthy, none that can be reached.
        ("10.9.0.4:80", 0),
        ("10.9.0.5:80", 0),
        ("10.9.0.6:80", 0),
        ("10.9.0.7:80", 0),
        // To oneself through the service.
        ("10.9.0.1:80", 0),
        // The relay itself; elsewhere the port is somebody's.
        ("127.0.0.1:15001", 0),
        ("10.0.0.1:15006", 0),
        ("[fd00::1]:15008", 0),
        ("192.0.2.1:15008", 0),
        ("10.0.0.2:15008", 0),
        ("10.0.0.3:15008", 0),
    ] {
        let arrival = Arrival::Outbound {
            destination: destination.parse().unwrap(),
            draw,
        };
        let decision = route(&snapshot, &here, &arrival);
        _ = writeln!(lines, "{destination} {}: {}", draw % 10, told(&decision));
    }
    insta::assert_snapshot!(lines, @"
    192.0.2.1:443 0: plain 192.0.2.1:443
    127.0.0.1:80 0: plain 127.0.0.1:80
    10.0.0.2:80 0: plain 10.0.0.2:80; other plain
    10.0.0.3:80 0: 10.0.0.3:80 through 10.0.0.3:15008 of meshed; other meshed
    [fd00::3]:80 0: [fd00::3]:80 through [fd00::3]:15008 of meshed; other meshed
    [::ffff:10.0.0.3]:80 0: 10.0.0.3:80 through 10.0.0.3:15008 of meshed; other meshed
    10.0.0.5:80 0: 10.0.0.5:80 through 10.0.0.5:15008 of default; other sick
    10.0.0.1:80 0: 10.0.0.1:80 through 10.0.0.1:15008 of own; other own
    10.0.0.7:80 0: plain 10.0.0.7:80
    10.9.0.2:80 0: plain 10.0.0.2:1; other plain; service mixed.shop
    10.9.0.2:80 1: 10.0.0.3:2 through 10.0.0.3:15008 of gate|meshed; other meshed; service mixed.shop
    10.9.0.2:80 5: 10.0.0.3:2 through 10.0.0.3:15008 of gate|meshed; other meshed; service mixed.shop
    10.9.0.2:443 7: 10.0.0.3:3 through 10.0.0.3:15008 of gate|meshed; other meshed; service mixed.shop
    10.9.0.2:9 0: refused: no healthy upstream: 10.9.0.2:9; service mixed.shop
    10.9.0.3:80 0: refused: no healthy upstream: 10.9.0.3:80; service named.other
    10.9.0.4:80 0: [fd00::4]:80 through [fd00::4]:15008 of default; other six; service six.shop
    10.9.0.5:80 0: refused: no healthy upstream: 10.9.0.5:80; service sick.shop
    10.9.0.6:80 0: refused: no valid routing destination for workload: nowhere; other nowhere; service nowhere.shop
    10.9.0.7:80 0: refused: no valid routing destination for workload: far; other far; service far.shop
    10.9.0.1:80 0: 10.0.0.1:8080 through 10.0.0.1:15008 of own; other own; service own.shop
    127.0.0.1:15001 0: refused: attempted recursive call to ourselves
    10.0.0.1:15006 0: refused: attempted recursive call to ourselves
    [fd00::1]:15008 0: refused: attempted recursive call to ourselves
    192.0.2.1:15008 0: plain 192.0.2.1:15008
    10.0.0.2:15008 0: plain 10.0.0.2:15008; other plain
    10.0.0.3:15008 0: refused: attempted recursive call to ourselves; other meshed
    ");
}

#[test]
fn plaintext_goes_to_this_workload_but_for_the_relay_itself() {
    let (snapshot, here) = mesh();
    let mut lines = String::new();
    for (source, destination) in [
        ("10.0.0.2:1", "10.0.0.1:8080"),
        ("192.0.2.1:1", "10.0.0.1:8080"),
        ("[::ffff:10.0.0.2]:1", "[::ffff:10.0.0.1]:9"),
        ("10.0.0.2:1", "[fd00::1]:80"),
        // Somebody else's, whoever led it here.
        ("192.0.2.1:1", "172.16.0.1:80"),
        ("10.0.0.2:1", "10.0.0.3:80"),
        ("10.0.0.2:1", "127.0.0.1:80"),
        ("192.0.2.1:1", "10.0.0.1:15001"),
        ("192.0.2.1:1", "10.0.0.1:15006"),
        ("192.0.2.1:1", "10.0.0.1:15080"),
    ] {
        let arrival = Arrival::Plaintext {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        };
        let decision = route(&snapshot, &here, &arrival);
        _ = writeln!(lines, "{source} to {destination}: {}", told(&decision));
    }
    insta::assert_snapshot!(lines, @"
    10.0.0.2:1 to 10.0.0.1:8080: plain 10.0.0.1:8080; other plain; service own.shop
    192.0.2.1:1 to 10.0.0.1:8080: plain 10.0.0.1:8080; service own.shop
    [::ffff:10.0.0.2]:1 to [::ffff:10.0.0.1]:9: plain 10.0.0.1:9; other plain
    10.0.0.2:1 to [fd00::1]:80: plain [fd00::1]:80; other plain
    192.0.2.1:1 to 172.16.0.1:80: refused: not for this workload: 172.16.0.1:80
    10.0.0.2:1 to 10.0.0.3:80: refused: not for this workload: 10.0.0.3:80; other plain
    10.0.0.2:1 to 127.0.0.1:80: refused: not for this workload: 127.0.0.1:80; other plain
    192.0.2.1:1 to 10.0.0.1:15001: refused: attempted recursive call to ourselves
    192.0.2.1:1 to 10.0.0.1:15006: refused: attempted recursive call to ourselves
    192.0.2.1:1 to 10.0.0.1:15080: refused: attempted recursive call to ourselves
    ");
}

#[test]
fn tunnels_lead_to_this_workload_and_nowhere_else() {
    let (snapshot, here) = mesh();
    let mut lines = String::new();
    for (local, target, host) in [
        ("10.0.0.1:15008", "10.0.0.1:8080", None),
        ("10.0.0.1:15008", "10.0.0.1:9000", None),
        ("10.0.0.1:15008", "10.0.0.1:9000", Some("own.shop")),
        // A service that this workload is not behind says nothing.
        ("10.0.0.1:15008", "10.0.0.1:9000", Some("mixed.shop")),
        ("[::ffff:10.0.0.1]:15008", "10.0.0.1:8080", None),
        ("10.0.0.1:15008", "[::ffff:10.0.0.1]:8080", None),
        ("[fd00::1]:15008", "[fd00::1]:8080", None),
        ("10.0.0.1:15008", "[fd00::1]:8080", None),
        ("10.0.0.1:15008", "10.0.0.2:8080", None),
        ("10.0.0.1:15008", "127.0.0.1:8080", None),
        // From within the pod, as with ztunnel.
        ("127.0.0.1:15008", "127.0.0.1:8080", None),
        ("10.0.0.1:15008", "10.0.0.1:15008", None),
        // By the name of a service.
        ("10.0.0.1:15008", "own.shop:80", None),
        ("10.0.0.1:15008", "OWN.shop.:80", None),
        ("10.0.0.1:15008", "own.shop:81", None),
        ("10.0.0.1:15008", "own.shop:9", None),
        ("10.0.0.1:15008", "mixed.shop:80", None),
        ("10.0.0.1:15008", "named.other:80", None),
        ("10.0.0.1:15008", "nobody.shop:80", None),
    ] {
        let target: Target = target.parse().unwrap();
        let arrival = Arrival::Tunnel {
            source: "10.0.0.3:1".parse().unwrap(),
            local: local.parse().unwrap(),
            target: &target,
            host,
        };
        let decision = route(&snapshot, &here, &arrival);
        let status = decision
            .way
            .as_ref()
            .err()
            .map(|r| r.answer().status().as_u16());
        let status = status.map(|s| format!(" ({s})")).unwrap_or_default();
        let host = host.map(|h| format!(" for {h}")).unwrap_or_default();
        _ = writeln!(
            lines,
            "{target}{host} at {local}: {}{status}",
            told(&decision)
        );
    }
    insta::assert_snapshot!(lines, @"
    10.0.0.1:8080 at 10.0.0.1:15008: plain 10.0.0.1:8080; other meshed; service own.shop
    10.0.0.1:9000 at 10.0.0.1:15008: plain 10.0.0.1:9000; other meshed
    10.0.0.1:9000 for own.shop at 10.0.0.1:15008: plain 10.0.0.1:9000; other meshed; service own.shop
    10.0.0.1:9000 for mixed.shop at 10.0.0.1:15008: plain 10.0.0.1:9000; other meshed
    10.0.0.1:8080 at [::ffff:10.0.0.1]:15008: plain 10.0.0.1:8080; other meshed; service own.shop
    [::ffff:10.0.0.1]:8080 at 10.0.0.1:15008: plain 10.0.0.1:8080; other meshed; service own.shop
    [fd00::1]:8080 at [fd00::1]:15008: plain [fd00::1]:8080; other meshed; service own.shop
    [fd00::1]:8080 at 10.0.0.1:15008: refused: ip mismatch: 10.0.0.1 != fd00::1; other meshed (400)
    10.0.0.2:8080 at 10.0.0.1:15008: refused: ip mismatch: 10.0.0.1 != 10.0.0.2; other meshed (400)
    127.0.0.1:8080 at 10.0.0.1:15008: refused: ip mismatch: 10.0.0.1 != 127.0.0.1; other meshed (400)
    127.0.0.1:8080 at 127.0.0.1:15008: plain 127.0.0.1:8080; other meshed; service own.shop
    10.0.0.1:15008 at 10.0.0.1:15008: refused: attempted recursive call to ourselves; other meshed (503)
    own.shop:80 at 10.0.0.1:15008: plain 10.0.0.1:8080; other meshed; service own.shop
    own.shop:80 at 10.0.0.1:15008: plain 10.0.0.1:8080; other meshed; service own.shop
    own.shop:81 at 10.0.0.1:15008: refused: attempted recursive call to ourselves; other meshed; service own.shop (503)
    own.shop:9 at 10.0.0.1:15008: refused: requested service own.shop:9 found, but cannot resolve port; other meshed; service own.shop (503)
    mixed.shop:80 at 10.0.0.1:15008: plain 10.0.0.1:80; other meshed; service mixed.shop
    named.other:80 at 10.0.0.1:15008: refused: requested service named.other:80 found, but cannot resolve port; other meshed; service named.other (503)
    nobody.shop:80 at 10.0.0.1:15008: refused: no service or workload for hostname: nobody.shop; other meshed (503)
    ");
}

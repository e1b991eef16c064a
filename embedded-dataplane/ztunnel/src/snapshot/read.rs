//! A snapshot from a file of the shape that ztunnel reads (`LOCAL_XDS_PATH`; ztunnel
//! `src/xds/client.rs`, `LocalConfig`).
//!
//! One file drives both, so what changes where connections go and is not here yet (waypoints,
//! policies, gateways to other networks) is refused, and never passed over: a policy that is ignored
//! lets everybody in.

use std::path::{Path, PathBuf};

use ambient_runtime::files::read_text;
use serde_yaml::Value;

use super::index::Snapshot;
use super::shape::Mesh;

/// The most octets of a file: a hundred thousand workloads take fifty million.
const MOST: u64 = 256 << 20;

/// A snapshot cannot be had from a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// It cannot be read.
    #[error("cannot read `{}`: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// What it says is wrong.
    #[error("{}:{line}: {message}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// One-based; of an object, where it begins, unless a field of it is known.
        line: usize,
        /// What is wrong, and with which object.
        message: String,
    },
}

/// The most lists and mappings in brackets within each other: none that means anything has ten, and
/// the parser takes time that grows with the square of them.
const DEEPEST: usize = 1000;

/// The line from which brackets are too many.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut line = 1;
    for octet in text.bytes() {
        match octet {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'\n' => line += 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Some(line);
        }
    }
    None
}

impl Snapshot {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or says something that is wrong or not understood.
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        let failed = |reason: String| SnapshotError::File {
            path: path.to_owned(),
            reason,
        };
        let text = read_text(path, MOST).map_err(|error| failed(error.to_string()))?;
        Self::from_yaml(path, &text)
    }

    /// Reads a text, as if it were in a file.
    ///
    /// # Errors
    ///
    /// When it says something that is wrong or not understood.
    pub fn from_yaml(path: &Path, text: &str) -> Result<Self, SnapshotError> {
        let content = |line, message| SnapshotError::Content {
            path: path.to_owned(),
            line,
            message,
        };
        if let Some(line) = too_deep(text) {
            let message = format!("it is nested more than {DEEPEST} deep");
            return Err(content(line, message));
        }
        let mesh: Option<Mesh> = serde_yaml::from_str(text).map_err(|error| {
            let (line, message) = told(&error);
            content(line, with_object(text, &message))
        })?;
        mesh.unwrap_or_default().join().map_err(|misfit| {
            let line = last_mention(text, &misfit.mention);
            content(line.unwrap_or(1), misfit.to_string())
        })
    }
}

/// The last line that has a name, and not merely as a part of another.
fn last_mention(text: &str, name: &str) -> Option<usize> {
    let name = name.to_ascii_lowercase();
    let goes_on = |c: char| c.is_alphanumeric() || "-_/".contains(c);
    let has_name = |line: &str| {
        line.match_indices(&name).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            let behind = line
                .get(at + name.len()..)
                .and_then(|text| text.chars().next());
            !before.is_some_and(goes_on) && !behind.is_some_and(goes_on)
        })
    };
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| has_name(&line.to_ascii_lowercase()));
    lines.last().map(|(_, line)| line)
}

/// The line and the text of an error, which has the place at its end.
fn told(error: &serde_yaml::Error) -> (usize, String) {
    let text = error.to_string();
    let Some(place) = error.location() else {
        return (1, text);
    };
    let (line, column) = (place.line(), place.column());
    let message = text.replacen(&format!(" at line {line} column {column}"), "", 1);
    (line, message)
}

/// Names the object that a message is about, instead of telling its number.
fn with_object(text: &str, message: &str) -> String {
    let lists = [
        ("workloads", "workload", "uid"),
        ("services", "service", "hostname"),
    ];
    let named = lists.into_iter().find_map(|(list, kind, key)| {
        let rest = message.strip_prefix(list)?.strip_prefix('[')?;
        let (number, rest) = rest.split_once(']')?;
        let number: usize = number.parse().ok()?;
        let document: Value = serde_yaml::from_str(text).ok()?;
        let name = document.get(list)?.get(number)?.get(key)?.as_str()?;
        let rest = rest.trim_start_matches(['.', ':', ' ']);
        Some(format!("{kind} `{name}`: {rest}"))
    });
    named.unwrap_or_else(|| message.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn read(text: &str) -> Result<Snapshot, String> {
        Snapshot::from_yaml("mesh.yaml".as_ref(), text).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_nested_without_end_is_refused_at_once() {
        let text = format!(
            "workloads:\n- {}{}",
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let told = read(&text).unwrap_err();
        assert_eq!(told, "mesh.yaml:2: it is nested more than 1000 deep");
    }

    /// As istiod's answers look in ztunnel, with everything that changes nothing here.
    const MESH: &str = "
workloads:
- uid: Kubernetes//Pod/shop/web
  name: web
  namespace: shop
  serviceAccount: web
  trustDomain: cluster.local
  workloadIps: [10.0.0.1, 'fd00::1']
  protocol: HBONE
  networkMode: Standard
  network: ''
  node: n1
  clusterId: Kubernetes
  canonicalName: web
  canonicalRevision: v1
  workloadName: web
  workloadType: pod
  status: Healthy
  capacity: 1
  nativeTunnel: false
  locality: {region: r1, zone: z1}
  authorizationPolicies: []
  services:
    shop/web.shop.svc.cluster.local: {80: 8080, '443': 8443}
- {uid: sick, name: sick, namespace: shop, workloadIps: [10.0.0.2], status: Unhealthy,
   services: {shop/web.shop.svc.cluster.local: {80: 1}}}
services:
- name: web
  namespace: shop
  hostname: Web.shop.svc.cluster.local.
  vips: [/10.96.0.1, 'west/10.97.0.1']
  ports: {80: 80, 443: 0}
  subjectAltNames: ['spiffe://cluster.local/ns/shop/sa/other']
  canonical: true
  visibility: Public
  ipFamilies: IPv4
  endpoints: {}
policies: []
";

    #[test]
    fn workloads_and_services_are_read_and_joined() {
        let snapshot = read(MESH).unwrap();
        let address = |text: &str| text.parse().unwrap();
        let web = snapshot.workload_at("", address("fd00::1")).unwrap();
        let service = snapshot.service_at("west", address("10.97.0.1")).unwrap();
        let mut told = format!("{web:#?}\n{:?}\n", service.identities);
        for endpoint in &service.endpoints {
            let port = |port| service.target_port(port, Some(endpoint));
            let ports = [80, 443, 9].map(port);
            _ = writeln!(told, "{}: {ports:?}", endpoint.workload.uid);
        }
        insta::assert_snapshot!(told, @r#"
        Workload {
            uid: "Kubernetes//Pod/shop/web",
            name: WorkloadName {
                namespace: "shop",
                name: "web",
                service_account: "web",
            },
            identity: SpiffeId {
                trust_domain: "cluster.local",
                namespace: "shop",
                service_account: "web",
            },
            addresses: [
                10.0.0.1,
                fd00::1,
            ],
            is_on_host_network: false,
            network: "",
            protocol: Hbone,
            is_healthy: true,
            cluster: "Kubernetes",
            node: "n1",
            canonical_name: "web",
            canonical_revision: "v1",
            controller: "web",
            controller_kind: Pod,
            locality: Locality {
                region: "r1",
                zone: "z1",
                subzone: "",
            },
        }
        [SpiffeId { trust_domain: "cluster.local", namespace: "shop", service_account: "other" }]
        Kubernetes//Pod/shop/web: [Some(8080), Some(8443), None]
        "#);
        assert_eq!(
            snapshot.workload(&"shop/web/web".parse().unwrap()),
            Some(web)
        );
        assert_eq!(
            snapshot.service_named("web.shop.svc.cluster.local", "any"),
            Some(service)
        );
    }

    #[test]
    fn nothing_is_a_mesh_of_nobody() {
        for text in ["", "# nothing\n", "workloads: []\n", "{}", "policies:\n"] {
            assert_eq!(read(text), Ok(Snapshot::default()), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_object() {
        let workload = "workloads:\n- uid: u1\n  name: a\n  namespace: b\n  services: {}\n";
        let service = "services:\n- name: a\n  namespace: b\n  hostname: c.d\n";
        let others = [
            "workloads: 7\n",
            "workload: []\n",
            "workloads:\n- name: a\n  namespace: b\n  services: {}\n",
            "\tx",
            "a: *b",
            "{}\n---\n{}\n",
            "policies:\n- name: deny-all\n",
        ];
        let fields = [
            "  workloadIps: [10.0.0.256]\n",
            "  protocol: LEGACY\n",
            "  serviceAccount: a/b\n",
            "  ip: 10.0.0.1\n",
            "  services: {}\n",
            "  waypoint: {destination: /10.0.0.9, hboneMtlsPort: 15008}\n",
            "  networkGateway: {destination: /10.0.0.9}\n",
            "  applicationTunnel: {protocol: PROXY}\n",
            "  authorizationPolicies: [b/c]\n",
            "- uid: u1\n  name: a\n  namespace: b\n  services: {}\n",
            "- {uid: u2, name: a, namespace: b, services: {b/c.d: {80: 80}}}\n",
            "- {uid: u2, name: a, namespace: b, services: {c.d: {}}}\n",
            "- {uid: u2, name: a, namespace: b, services: {b/c.d: {0: 80}}}\n",
            "- {uid: u2, name: a, namespace: b, services: {b/c.d: {80: 65536}}}\n",
            "- {uid: u2, name: a, namespace: b}\n",
        ];
        let of_service = [
            "  vips: [10.0.0.1]\n",
            "  vips: [/10.0.0.1/24]\n",
            "  ports: {http: 80}\n",
            "  subjectAltNames: [web]\n",
            "  waypoint: {destination: b/c}\n",
            "  weightedWaypoints: [{weight: 1}]\n",
            "  loadBalancer: {mode: Passthrough}\n",
            "  cidrVips: [/10.0.0.0/24]\n",
            "  visibility: Namespace\n",
            "- {name: a, namespace: b, hostname: C.D}\n",
        ];
        let texts = (others.iter().map(|text| (*text).to_owned()))
            .chain(fields.iter().map(|field| format!("{workload}{field}")))
            .chain(of_service.iter().map(|field| format!("{service}{field}")));
        let errors: Vec<_> = texts.map(|text| read(&text).unwrap_err()).collect();
        insta::assert_snapshot!(errors.join("\n"), @r#"
        mesh.yaml:1: workloads: invalid type: integer `7`, expected a sequence
        mesh.yaml:1: unknown field `workload`, expected one of `workloads`, `services`, `policies`
        mesh.yaml:2: workloads[0]: missing field `uid`
        mesh.yaml:1: found character that cannot start any token, while scanning for the next token
        mesh.yaml:1: unknown field `a`, expected one of `workloads`, `services`, `policies`
        mesh.yaml:1: deserializing from YAML containing more than one document is not supported
        mesh.yaml:2: policies: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:6: workload `u1`: workloadIps[0]: invalid IP address syntax
        mesh.yaml:6: workload `u1`: protocol: unknown variant `LEGACY`, expected `HBONE` or `TCP`
        mesh.yaml:2: workload `u1`: `spiffe://cluster.local/ns/b/sa/a/b` is not of the form `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`
        mesh.yaml:6: workload `u1`: unknown field `ip`, expected one of `uid`, `name`, `namespace`, `serviceAccount`, `trustDomain`, `workloadIps`, `protocol`, `networkMode`, `network`, `node`, `clusterId`, `canonicalName`, `canonicalRevision`, `workloadName`, `workloadType`, `status`, `locality`, `services`, `capacity`, `hostname`, `nativeTunnel`, `waypoint`, `networkGateway`, `applicationTunnel`, `authorizationPolicies`
        mesh.yaml:2: workloads[0]: duplicate field `services`
        mesh.yaml:6: workload `u1`: waypoint: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:6: workload `u1`: networkGateway: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:6: workload `u1`: applicationTunnel: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:6: workload `u1`: authorizationPolicies: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:6: workload `u1`: there is another of this name
        mesh.yaml:6: workload `u2`: services: there is no service `b/c.d`
        mesh.yaml:6: workload `u2`: services: there is no service `c.d`
        mesh.yaml:6: workload `u2`: services.b/c.d: invalid value: integer `0`, expected a port from 1 to 65535
        mesh.yaml:6: workload `u2`: services.b/c.d.80: invalid value: integer `65536`, expected u16
        mesh.yaml:6: workload `u2`: missing field `services`
        mesh.yaml:5: service `c.d`: vips[0]: `10.0.0.1` is not of the form `NETWORK/ADDRESS` or `/ADDRESS`
        mesh.yaml:5: service `c.d`: vips[0]: `/10.0.0.1/24` is not of the form `NETWORK/ADDRESS` or `/ADDRESS`
        mesh.yaml:5: service `c.d`: ports: invalid value: string "http", expected a port from 1 to 65535
        mesh.yaml:5: service `c.d`: subjectAltNames[0]: `web` is not of the form `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`
        mesh.yaml:5: service `c.d`: waypoint: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:5: service `c.d`: weightedWaypoints: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:5: service `c.d`: loadBalancer: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:5: service `c.d`: cidrVips: this is not supported yet, and without it connections would go where they must not
        mesh.yaml:5: service `c.d`: visibility: unknown variant `Namespace`, expected `Public`
        mesh.yaml:5: service `c.d`: there is another of this name
        "#);
    }

    #[test]
    fn a_file_that_is_not_there_is_told_by_its_name() {
        let error = Snapshot::read("/nowhere/mesh.yaml".as_ref()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read `/nowhere/mesh.yaml`: No such file or directory (os error 2)"
        );
    }
}

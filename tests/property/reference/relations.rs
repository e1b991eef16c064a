//! The ways in which a connection travels once pods are in ambient mesh.

use kubectl_ambient::model::{Labels, PeerMode, World};

use super::{
    Connection, Party, Pod, Port, authorized, authorized_at_waypoint, modes, namespace_labels,
    plaintext,
};

const HBONE: u16 = 15008;
const DNS: u16 = 53;
/// ztunnel's own listeners, which it refuses as destinations.
const REFUSED: [u16; 4] = [15001, 15006, 15008, 15080];

/// Whether a tunnel to this port is refused whatever policies say.
pub(crate) fn refused_by_ztunnel(port: u16) -> bool {
    REFUSED.contains(&port)
}

/// Whether a pod takes part in the mesh when its namespace is enrolled or not.
pub(crate) fn in_mesh(pod: &Pod, namespace_enrolled: bool) -> bool {
    let mode = pod
        .labels
        .get("istio.io/dataplane-mode")
        .map(String::as_str);
    let enrolled = match mode {
        Some("none") => false,
        Some("ambient") => true,
        _ => namespace_enrolled,
    };
    let has_sidecar = pod.annotations.contains_key("sidecar.istio.io/status");
    enrolled && !pod.host_network && !has_sidecar
}

/// A connection in the clear to a pod in the mesh: ztunnel sees it without an identity, which the
/// mode may demand, unless the pod has it go past ztunnel.
pub(crate) fn plain_to_mesh(
    world: &World,
    source: Party<'_>,
    destination: &Pod,
    port: u16,
    mode: PeerMode,
) -> bool {
    let connection = Connection {
        identity: None,
        source: source.address(),
        destination: destination.address,
        port,
    };
    let by_ztunnel = mode != PeerMode::Strict && authorized(world, destination, &connection);
    plaintext(world, source, Party::Pod(destination), Port::tcp(port))
        && (bypasses_ztunnel(destination) || by_ztunnel)
}

/// Whether what enters a pod in the clear goes past ztunnel.
fn bypasses_ztunnel(pod: &Pod) -> bool {
    let bypass = pod
        .annotations
        .get("ambient.istio.io/bypass-inbound-capture");
    bypass.is_some_and(|v| ["1", "t", "T", "true", "TRUE", "True"].contains(&v.as_str()))
}

/// A TCP connection between two pods in the mesh.
pub(crate) fn tunnel(world: &World, source: &Pod, destination: &Pod, port: u16) -> bool {
    if refused_by_ztunnel(port) {
        return false;
    }
    // Look-ups are captured in the pod and leave it in the clear.
    if port == DNS && captures_dns(source) {
        let mut modes = modes(world, destination, port).into_iter();
        return modes.any(|m| plain_to_mesh(world, Party::Pod(source), destination, port, m));
    }
    let connection = Connection {
        identity: Some(source.identity()),
        source: source.address,
        destination: destination.address,
        port,
    };
    tunnel_port_open(world, source, destination) && authorized(world, destination, &connection)
}

/// How a connection goes through a waypoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop<'a> {
    /// Namespace and name of the Gateway.
    pub(crate) gateway: (&'a str, &'a str),
    /// The waypoint's pod.
    pub(crate) waypoint: &'a Pod,
    /// Namespace and name of the Service; `None` when the client asked for the pod itself.
    pub(crate) service: Option<(&'a str, &'a str)>,
    /// The port that the client asks for.
    pub(crate) asked_port: u16,
    /// The port of the chosen pod.
    pub(crate) target_port: u16,
    /// The chosen pod is not in the mesh.
    pub(crate) plain: bool,
}

/// Whether a connection reaches a pod through a waypoint.
pub(crate) fn via_waypoint(world: &World, source: &Pod, hop: &Hop<'_>, destination: &Pod) -> bool {
    let at_destination = Connection {
        identity: Some(hop.waypoint.identity()),
        source: hop.waypoint.address,
        destination: destination.address,
        port: hop.target_port,
    };
    let enters = enters_waypoint(world, source, hop);
    if hop.plain {
        let ends = (Party::Pod(hop.waypoint), Party::Pod(destination));
        return enters && plaintext(world, ends.0, ends.1, Port::tcp(hop.target_port));
    }
    enters
        && !refused_by_ztunnel(hop.target_port)
        && tunnel_port_open(world, hop.waypoint, destination)
        && authorized(world, destination, &at_destination)
}

/// Whether a connection gets as far as through the waypoint.
pub(crate) fn enters_waypoint(world: &World, source: &Pod, hop: &Hop<'_>) -> bool {
    let at_waypoint = Connection {
        identity: Some(source.identity()),
        source: source.address,
        destination: None,
        port: hop.asked_port,
    };
    tunnel_port_open(world, source, hop.waypoint)
        && authorized_at_waypoint(world, hop.gateway, hop.service, &at_waypoint)
}

/// The pod that runs a waypoint (istio `manifests/charts/istio-control/istio-discovery/files/waypoint.yaml`).
pub(crate) fn waypoint_pod(world: &World, gateway: (&str, &str)) -> Pod {
    let (namespace, name) = gateway;
    let labels = [
        ("gateway.networking.k8s.io/gateway-name", name),
        (
            "gateway.networking.k8s.io/gateway-class-name",
            "istio-waypoint",
        ),
        ("gateway.istio.io/managed", "istio.io-mesh-controller"),
        ("istio.io/dataplane-mode", "none"),
    ];
    Pod {
        namespace: namespace.to_owned(),
        namespace_labels: namespace_labels(world, namespace),
        labels: labels
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        annotations: Labels::new(),
        service_account: name.to_owned(),
        host_network: false,
        matched_on_host: false,
        ports: Vec::new(),
        address: None,
    }
}

/// Whether look-ups of a pod are captured: unless the pod opts out.
pub(crate) fn captures_dns(pod: &Pod) -> bool {
    pod.annotations
        .get("ambient.istio.io/dns-capture")
        .is_none_or(|v| v != "false")
}

/// Whether the network policies let the tunnel's own connection pass.
pub(crate) fn tunnel_port_open(world: &World, source: &Pod, destination: &Pod) -> bool {
    plaintext(
        world,
        Party::Pod(source),
        Party::Pod(destination),
        Port::tcp(HBONE),
    )
}

/// What a client asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// A Service with these labels.
    Service(&'a Labels),
    /// A pod with these labels.
    Pod(&'a Labels),
}

/// The waypoint that takes connections to something in a namespace: the one that its own labels
/// name, else its namespace's; `None` when there is none, or it takes no such connections. Returns
/// namespace and name of the Gateway.
pub(crate) fn waypoint_of(
    world: &World,
    namespace: &str,
    asked: Asked<'_>,
) -> Option<(String, String)> {
    let (Asked::Service(own) | Asked::Pod(own)) = asked;
    let inherited = namespace_labels(world, namespace);
    let labels = if own.contains_key("istio.io/use-waypoint") {
        own
    } else {
        &inherited
    };
    let name = labels
        .get("istio.io/use-waypoint")
        .filter(|n| *n != "none")?;
    let home = labels
        .get("istio.io/use-waypoint-namespace")
        .map_or(namespace, String::as_str);
    let gateway = world
        .gateways
        .iter()
        .find(|g| g.meta.namespace == *home && g.meta.name == *name)?;
    let takes = gateway
        .meta
        .label("istio.io/waypoint-for")
        .unwrap_or("service");
    let fits = match asked {
        Asked::Service(_) => takes == "service" || takes == "all",
        Asked::Pod(_) => takes == "workload" || takes == "all",
    };
    fits.then(|| (home.to_owned(), name.clone()))
}

//! Labels of connections, with Istio's names in Istio's order (Istio, "Standard metrics"; ztunnel
//! `src/proxy/metrics.rs`).

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use ambient_hbone::headers::Baggage;
use ambient_identity::SpiffeId;
use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

use super::intern::Interned;
use crate::report::Direction;
use crate::snapshot::{Service, Workload};

/// What stands where nothing is known.
const UNKNOWN: &str = "unknown";

/// The longest name that a client may give itself: no name in Kubernetes is longer.
const LONGEST_NAME: usize = 253;

/// How a connection failed, by Envoy's flags as ztunnel uses them (its `src/proxy/metrics.rs`,
/// `ResponseFlags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) enum Flag {
    /// It did not.
    #[default]
    None,
    /// There was no connection to the server, or something that no other flag stands for.
    Connect,
    /// TLS failed.
    Tls,
    /// HTTP/2 failed.
    Http2,
    /// Nobody answered on the port of the tunnel.
    NetworkPolicy,
    /// There was no certificate to connect with.
    Identity,
    /// The certificate of the other end is revoked.
    Revoked,
}

/// The labels of a connection.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    pub(super) direction: Direction,
    pub(super) source: Arc<Interned<Side>>,
    pub(super) source_principal: Option<Arc<Interned<SpiffeId>>>,
    pub(super) service: Option<Arc<Interned<OfService>>>,
    pub(super) destination: Arc<Interned<Side>>,
    pub(super) destination_principal: Option<Arc<Interned<SpiffeId>>>,
    pub(super) flag: Flag,
    pub(super) is_secured: bool,
}

/// What tells labels apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u64; 5], Direction, Flag, bool);

/// The workload at one end, as far as labels tell workloads apart: pods of one Deployment are one.
#[derive(Debug, Clone)]
pub(super) enum Side {
    Unknown,
    Known(Arc<Workload>),
    /// What a client says of itself.
    Told(Arc<Told>),
}

/// What a client says of itself, in the order of [`Side::names`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told([String; NAMES]);

/// A service, as far as labels tell services apart.
#[derive(Debug, Clone)]
pub(super) struct OfService(pub(super) Arc<Service>);

const NAMES: usize = 7;

impl Labels {
    pub(super) fn key(&self) -> Key {
        let of = |principal: &Option<Arc<Interned<SpiffeId>>>| {
            principal.as_ref().map_or(0, |p| p.number)
        };
        let numbers = [
            self.source.number,
            of(&self.source_principal),
            self.service.as_ref().map_or(0, |s| s.number),
            self.destination.number,
            of(&self.destination_principal),
        ];
        Key(numbers, self.direction, self.flag, self.is_secured)
    }

    /// The same labels of a connection that failed.
    pub(super) fn failed(&self, flag: Flag) -> Self {
        Self {
            flag,
            ..self.clone()
        }
    }
}

impl Side {
    /// Who a client says it is, for who is not known otherwise. What it says is believed within the
    /// namespace of its identity.
    pub(super) fn told(baggage: Option<&Baggage>, identity: Option<&SpiffeId>) -> Self {
        let (Some(baggage), Some(identity)) = (baggage, identity) else {
            return Self::Unknown;
        };
        if baggage.namespace.as_deref() != Some(identity.namespace()) {
            return Self::Unknown;
        }
        let workload = baggage.workload.as_ref().map(|(_, name)| name);
        let names = [
            workload,
            baggage.service.as_ref(),
            baggage.version.as_ref(),
            baggage.namespace.as_ref(),
            baggage.cluster.as_ref(),
            baggage.region.as_ref(),
            baggage.zone.as_ref(),
        ];
        let short = |name: Option<&String>| {
            let name = name.filter(|name| name.len() <= LONGEST_NAME);
            name.cloned().unwrap_or_default()
        };
        Self::Told(Arc::new(Told(names.map(short))))
    }

    /// Workload, canonical service and its revision, namespace, cluster, region, zone; empty where
    /// unknown.
    fn names(&self) -> [&str; NAMES] {
        match self {
            Self::Unknown => [""; NAMES],
            Self::Told(told) => told.0.each_ref().map(String::as_str),
            Self::Known(workload) => [
                &workload.controller,
                &workload.canonical_name,
                &workload.canonical_revision,
                &workload.name.namespace,
                &workload.cluster,
                &workload.locality.region,
                &workload.locality.zone,
            ],
        }
    }
}

impl OfService {
    /// Hostname, namespace, name.
    fn names(&self) -> [&str; 3] {
        let Service {
            hostname,
            namespace,
            name,
            ..
        } = &*self.0;
        [hostname, namespace, name]
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let source = self.source.value.names();
        let destination = self.destination.value.names();
        let service = self.service.as_ref().map_or([""; 3], |s| s.value.names());
        let principal = |principal: &Option<Arc<Interned<SpiffeId>>>| {
            principal
                .as_ref()
                .map(|p| p.value.to_string())
                .unwrap_or_default()
        };
        let of_source = principal(&self.source_principal);
        let of_destination = principal(&self.destination_principal);
        let mut put = |key: &str, value: &str| {
            let value = if value.is_empty() { UNKNOWN } else { value };
            (key, value).encode(encoder.encode_label())
        };
        put("reporter", reporter(self.direction))?;
        let [workload, canonical, revision, namespace, cluster, ..] = source;
        put("source_workload", workload)?;
        put("source_canonical_service", canonical)?;
        put("source_canonical_revision", revision)?;
        put("source_workload_namespace", namespace)?;
        put("source_principal", &of_source)?;
        put("source_app", canonical)?;
        put("source_version", revision)?;
        put("source_cluster", cluster)?;
        let [hostname, service_namespace, service_name] = service;
        put("destination_service", hostname)?;
        put("destination_service_namespace", service_namespace)?;
        put("destination_service_name", service_name)?;
        let [workload, canonical, revision, namespace, cluster, ..] = destination;
        put("destination_workload", workload)?;
        put("destination_canonical_service", canonical)?;
        put("destination_canonical_revision", revision)?;
        put("destination_workload_namespace", namespace)?;
        put("destination_principal", &of_destination)?;
        put("destination_app", canonical)?;
        put("destination_version", revision)?;
        put("destination_cluster", cluster)?;
        put("request_protocol", "tcp")?;
        put("response_flags", self.flag.name())?;
        let policy = if self.is_secured { "mutual_tls" } else { "" };
        put("connection_security_policy", policy)?;
        // Only where a workload is known (ztunnel `src/proxy/metrics.rs`, `OptionallyEncode`).
        let known = [&source, &destination];
        if known
            .iter()
            .any(|names| names.iter().any(|name| !name.is_empty()))
        {
            for (side, names) in ["source", "destination"].into_iter().zip(known) {
                let [.., region, zone] = names;
                put(&format!("{side}_region"), region)?;
                put(&format!("{side}_zone"), zone)?;
            }
        }
        Ok(())
    }
}

/// Who reports a connection: the relay of its client, or that of its server.
pub(super) fn reporter(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "source",
        Direction::Inbound => "destination",
    }
}

impl Flag {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Connect => "CONNECT",
            Self::Tls => "TLS_FAILURE",
            Self::Http2 => "H2_HANDSHAKE_FAILURE",
            Self::NetworkPolicy => "NETWORK_POLICY",
            Self::Identity => "IDENTITY_ERROR",
            Self::Revoked => "CERT_REVOKED",
        }
    }
}

/// By names, whatever is behind them.
macro_rules! ordered_by_names {
    ($type:ty) => {
        impl Ord for $type {
            fn cmp(&self, other: &Self) -> Ordering {
                self.names().cmp(&other.names())
            }
        }

        impl PartialOrd for $type {
            fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Eq for $type {}

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.cmp(other).is_eq()
            }
        }
    };
}

ordered_by_names!(Side);
ordered_by_names!(OfService);

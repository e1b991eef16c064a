//! What is there at a moment: connections of a pool, what came from outside, certificates of a store.

use std::fmt;

use ambient_hbone::pool::Counts;
use ambient_identity::Status;
use ambient_runtime::metrics::{counter, gauge};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::report::Inbound;

/// Adds gauges of a pool, which is asked at each scrape.
pub fn watch_pool(registry: &mut Registry, counts: impl Fn() -> Counts + Send + Sync + 'static) {
    registry.register_collector(Box::new(OfPool(Box::new(counts))));
}

/// Adds what a relay has taken in from outside, and what it has not. It is asked at each scrape.
pub fn watch_inbound(
    registry: &mut Registry,
    counts: impl Fn() -> Inbound + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(OfInbound(Box::new(counts))));
}

/// Adds gauges of the certificates of a store, which is asked at each scrape.
pub fn watch_certificates(
    registry: &mut Registry,
    list: impl Fn() -> Vec<Status> + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(OfStore(Box::new(list))));
}

struct OfPool(Box<dyn Fn() -> Counts + Send + Sync>);

impl Collector for OfPool {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Counts {
            keys,
            connections,
            streams,
            dialing,
        } = (self.0)();
        let help = "Peers that tunnels are kept for.";
        gauge(&mut encoder, "ambient_pool_peers", help, keys)?;
        let help = "Tunnels that new connections can go through.";
        gauge(&mut encoder, "ambient_pool_tunnels", help, connections)?;
        let help = "Connections in these tunnels.";
        gauge(&mut encoder, "ambient_pool_streams", help, streams)?;
        let help = "Tunnels that are being made.";
        gauge(&mut encoder, "ambient_pool_dialing", help, dialing)
    }
}

struct OfInbound(Box<dyn Fn() -> Inbound + Send + Sync>);

impl Collector for OfInbound {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let now = (self.0)();
        for (name, help, value) in [
            ("silent", "Clients that have said nothing yet.", now.silent),
            ("handshakes", "Handshakes that are made.", now.handshakes),
            ("waiting", "Handshakes that wait for others.", now.waiting),
            ("tunnels", "Tunnels to the workload.", now.tunnels),
            (
                "descriptors",
                "Descriptors left for what comes from outside.",
                now.descriptors,
            ),
        ] {
            gauge(
                &mut encoder,
                &format!("ambient_inbound_{name}"),
                help,
                value,
            )?;
        }
        for (name, help, value) in [
            (
                "silent_hung_up",
                "Silent clients hung up on for others.",
                now.hung_up,
            ),
            (
                "handshakes_given_up",
                "Slow handshakes given up for others.",
                now.given_up,
            ),
            (
                "tunnels_asked_to_leave",
                "Idle tunnels asked to leave for others.",
                now.asked,
            ),
            (
                "tunnels_refused",
                "Tunnels refused for want of room.",
                now.refused,
            ),
            (
                "connections_starved",
                "Connections of tunnels refused for want of a descriptor.",
                now.starved,
            ),
        ] {
            counter(
                &mut encoder,
                &format!("ambient_inbound_{name}"),
                help,
                value,
            )?;
        }
        Ok(())
    }
}

struct OfStore(Box<dyn Fn() -> Vec<Status> + Send + Sync>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfIdentity {
    identity: String,
}

impl Collector for OfStore {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = (self.0)();
        let help = "Until when the certificate of an identity is valid, in seconds since 1970.";
        let name = "ambient_certificate_not_after_seconds";
        let ends = all.iter().filter_map(|status| {
            let workload = status.workload.as_ref()?;
            Some((status, workload.certificate().not_after))
        });
        of_identities(&mut encoder, (name, help), ends)?;
        let help = "How often in a row the certificate of an identity could not be had.";
        let failures = all
            .iter()
            .map(|status| (status, i64::from(status.failures)));
        of_identities(
            &mut encoder,
            ("ambient_certificate_failures", help),
            failures,
        )
    }
}

/// A gauge of each identity.
fn of_identities<'s>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    values: impl Iterator<Item = (&'s Status, i64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (status, value) in values {
        let labels = OfIdentity {
            identity: status.identity.to_string(),
        };
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

impl fmt::Debug for OfPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfPool")
    }
}

impl fmt::Debug for OfInbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfInbound")
    }
}

impl fmt::Debug for OfStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfStore")
    }
}

//! What the headers of a CONNECT and of its answer tell.
//!
//! All of it is hearsay: peers write what they like, so nothing here decides who may do what. Readers
//! take what they understand, and leave the rest.

mod baggage;
mod forwarded;
mod network;
mod traceparent;

use ambient_facts::headers as names;
use http::{HeaderMap, HeaderValue};

pub use baggage::{Baggage, WorkloadKind};
pub use forwarded::Forwarded;
pub use network::Network;
pub use traceparent::{Traceparent, TraceparentError};

/// What a CONNECT says beside its authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// The workload that the client's proxy speaks for.
    pub baggage: Baggage,
    /// The client, and the host that it connected to.
    pub forwarded: Forwarded,
    /// The trace that the connection belongs to.
    pub traceparent: Option<Traceparent>,
    /// The network that the CONNECT comes from, where it crossed networks.
    pub network: Option<Network>,
}

impl Headers {
    /// Reads what is understood, and leaves the rest. Of headers that there should be one of, the
    /// first counts.
    pub(crate) fn read(map: &HeaderMap) -> Self {
        let first = |name| map.get(name).map(HeaderValue::as_bytes);
        Self {
            baggage: baggage(map),
            forwarded: first(names::FORWARDED)
                .map(Forwarded::decode)
                .unwrap_or_default(),
            traceparent: first(names::TRACEPARENT).and_then(|v| Traceparent::decode(v).ok()),
            network: first(names::FORWARDED_NETWORK).and_then(Network::decode),
        }
    }

    pub(crate) fn write(&self, map: &mut HeaderMap) {
        let values = [
            (names::BAGGAGE, self.baggage.encode()),
            (names::FORWARDED, self.forwarded.encode()),
            (
                names::TRACEPARENT,
                self.traceparent.and_then(Traceparent::encode),
            ),
            (
                names::FORWARDED_NETWORK,
                self.network.as_ref().and_then(Network::encode),
            ),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                map.insert(name, value);
            }
        }
    }
}

/// Reads the baggage of a CONNECT or of its answer.
pub(crate) fn baggage(map: &HeaderMap) -> Baggage {
    let values = map.get_all(names::BAGGAGE).iter();
    Baggage::decode(values.map(HeaderValue::as_bytes))
}

/// Promises to end streams as the application does.
pub(crate) fn promise_exact_close(map: &mut HeaderMap) {
    map.insert(names::CLOSE, HeaderValue::from_static(names::CLOSE_EXACT));
}

/// Whether a peer promises to end streams as the application does.
pub(crate) fn has_exact_close(map: &HeaderMap) -> bool {
    map.get(names::CLOSE)
        .is_some_and(|value| value == names::CLOSE_EXACT)
}

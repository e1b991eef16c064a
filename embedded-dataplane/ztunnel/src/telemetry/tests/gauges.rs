//! What is asked at each scrape.

use ambient_hbone::pool::Counts;
use ambient_identity::{Authority, Clock, FetchError, Issued, Pending, Source};
use ambient_identity::{Store, StoreOptions, Trust};

use super::*;

/// Signs for everybody but one.
struct Choosy(Authority);

impl Source for Choosy {
    fn fetch<'a>(&'a self, identity: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(async {
            if identity.service_account() == "nobody" {
                return Err(FetchError::Refused("not you".to_owned()));
            }
            Ok(self.0.issue(identity)?)
        })
    }
}

#[tokio::test]
async fn pools_and_certificates_are_shown_as_they_are_at_that_moment() {
    let source = Choosy(Authority::generate("test", Clock::system()).unwrap());
    let store = Store::start(source, Trust::new([]), StoreOptions::default());
    let store = Arc::new(store);
    let mut metrics = Metrics::default();
    let asked = Arc::clone(&store);
    watch_certificates(metrics.registry(), move || asked.list());
    watch_pool(metrics.registry(), || Counts {
        keys: 1,
        connections: 2,
        streams: 3,
        dialing: 4,
    });
    watch_inbound(metrics.registry(), || report::Inbound {
        silent: 1,
        handshakes: 2,
        waiting: 3,
        tunnels: 4,
        descriptors: 5,
        hung_up: 6,
        given_up: 7,
        asked: 8,
        refused: 9,
        starved: 10,
    });
    let id = |account: &str| -> SpiffeId {
        format!("spiffe://cluster.local/ns/shop/sa/{account}")
            .parse()
            .unwrap()
    };
    let workload = store.get(&id("web")).await.unwrap();
    store.get(&id("nobody")).await.unwrap_err();
    let text = metrics.expose(Exposition::OpenMetrics);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let until = workload.certificate().not_after;
    let of = |name: &str, account: &str, value: i64| {
        format!(
            "ambient_certificate_{name}{{identity=\"{}\"}} {value}",
            id(account)
        )
    };
    assert_eq!(
        lines,
        [
            of("not_after_seconds", "web", until),
            of("failures", "nobody", 1),
            of("failures", "web", 0),
            "ambient_pool_peers 1".to_owned(),
            "ambient_pool_tunnels 2".to_owned(),
            "ambient_pool_streams 3".to_owned(),
            "ambient_pool_dialing 4".to_owned(),
            "ambient_inbound_silent 1".to_owned(),
            "ambient_inbound_handshakes 2".to_owned(),
            "ambient_inbound_waiting 3".to_owned(),
            "ambient_inbound_tunnels 4".to_owned(),
            "ambient_inbound_descriptors 5".to_owned(),
            "ambient_inbound_silent_hung_up_total 6".to_owned(),
            "ambient_inbound_handshakes_given_up_total 7".to_owned(),
            "ambient_inbound_tunnels_asked_to_leave_total 8".to_owned(),
            "ambient_inbound_tunnels_refused_total 9".to_owned(),
            "ambient_inbound_connections_starved_total 10".to_owned(),
        ]
    );
}

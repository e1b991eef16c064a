//! Replays the inputs under `testdata/fuzz` through the bodies of the fuzz targets, so that what
//! fuzzing once found is found again without fuzzing.
#![cfg(test)]

#[path = "../embedded-dataplane/fuzz/cases/administration.rs"]
mod administration;
#[path = "../embedded-dataplane/fuzz/cases/authority.rs"]
mod authority;
#[path = "../embedded-dataplane/fuzz/cases/baggage.rs"]
mod baggage;
#[path = "../embedded-dataplane/fuzz/cases/certificate.rs"]
mod certificate;
#[path = "../embedded-dataplane/fuzz/cases/editor.rs"]
mod editor;
#[path = "../embedded-dataplane/fuzz/cases/emit.rs"]
mod emit;
#[path = "../embedded-dataplane/fuzz/cases/forwarded.rs"]
mod forwarded;
#[path = "../embedded-dataplane/fuzz/cases/istio.rs"]
mod istio;
#[path = "../embedded-dataplane/fuzz/cases/loader.rs"]
mod loader;
#[path = "../embedded-dataplane/fuzz/cases/network.rs"]
mod network;
#[cfg(target_os = "linux")]
#[path = "../embedded-dataplane/fuzz/cases/options.rs"]
mod options;
#[path = "../embedded-dataplane/fuzz/cases/proxy_v2.rs"]
mod proxy_v2;
#[path = "../embedded-dataplane/fuzz/cases/revocations.rs"]
mod revocations;
#[path = "../embedded-dataplane/fuzz/cases/selector_cidr.rs"]
mod selector_cidr;
#[path = "../embedded-dataplane/fuzz/cases/snapshot.rs"]
mod snapshot;
#[path = "../embedded-dataplane/fuzz/cases/spiffe.rs"]
mod spiffe;
#[path = "../embedded-dataplane/fuzz/cases/traceparent.rs"]
mod traceparent;

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/fuzz");
    let mut inputs: Vec<_> = fs::read_dir(directory.join(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no inputs for `{target}`");
    for input in inputs {
        let bytes = fs::read(&input).unwrap();
        let outcome = std::panic::catch_unwind(|| run(&bytes));
        assert!(outcome.is_ok(), "{} fails", input.display());
    }
}

#[test]
fn administration_survives_its_corpus() {
    replay("administration", administration::run);
}

#[test]
fn the_loader_survives_its_corpus() {
    replay("loader", loader::run);
}

#[test]
fn the_editor_survives_its_corpus() {
    replay("editor", editor::run);
}

#[test]
fn selectors_and_address_blocks_survive_their_corpus() {
    replay("selector_cidr", selector_cidr::run);
}

#[test]
fn what_is_emitted_reads_back() {
    replay("emit", emit::run);
}

#[test]
fn identities_survive_their_corpus() {
    replay("spiffe", spiffe::run);
}

#[test]
fn certificates_survive_their_corpus() {
    replay("certificate", certificate::run);
}

#[test]
fn revocation_lists_survive_their_corpus() {
    replay("revocations", revocations::run);
}

#[test]
fn answers_of_an_authority_survive_their_corpus() {
    replay("istio", istio::run);
}

#[test]
fn what_a_connect_says_survives_its_corpus() {
    replay("authority", authority::run);
    replay("baggage", baggage::run);
    replay("forwarded", forwarded::run);
    replay("network", network::run);
    replay("traceparent", traceparent::run);
}

#[test]
fn headers_of_proxy_protocol_survive_their_corpus() {
    replay("proxy_v2", proxy_v2::run);
}

#[test]
fn snapshots_survive_their_corpus() {
    replay("snapshot", snapshot::run);
}

#[cfg(target_os = "linux")]
#[test]
fn files_with_options_survive_their_corpus() {
    replay("options", options::run);
}

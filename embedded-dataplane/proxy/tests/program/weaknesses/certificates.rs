//! How a relay comes by certificates, and whom it believes.

use std::fs;
use std::io::Read as _;
use std::time::{Duration, Instant};

use ambient_testkit::Authority;

use super::frames::SETTINGS;
use super::server::greeting;
use super::{authority, web};
use crate::harness::{eventually, pause};
use crate::lab::{Lab, Relay, SERVER, Setup, is_outside_of};

/// Longer than it takes where something is looked at every few seconds.
const SOON: Duration = Duration::from_secs(6);

#[test]
fn w18_a_workload_that_starts_during_an_outage_is_served_soon_after_it() {
    if is_outside_of(
        "weaknesses::certificates::w18_a_workload_that_starts_during_an_outage_is_served_soon_after_it",
    ) {
        return;
    }
    let relay = Relay::chosen();
    let relays = [&relay, &relay];
    let mut lab = Lab::with(Setup {
        has_authority: false,
        ..Setup::of(relays)
    });
    // Long enough for whoever doubles its pauses to be in a long one, from the first who needs one on.
    let outage = Instant::now();
    let mut early = lab.connect(&format!("{SERVER}:8080"));
    assert!(!early.read(&mut [0]).is_ok_and(|octets| octets > 0));
    eventually("an outage is over", || {
        outage.elapsed() > Duration::from_secs(19)
    });
    lab.found_authority(relays);
    let over = Instant::now();
    let served = || {
        let mut stream = lab.connect(&format!("{SERVER}:8080"));
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut line = [0; 11];
        stream.read_exact(&mut line).ok().map(|()| line)
    };
    let mut line = served();
    while line.is_none() {
        assert!(over.elapsed() < SOON, "{}", lab.client.log());
        pause();
        line = served();
    }
    assert_eq!(line, Some(*b"10.7.0.1 0\n"));
}

#[test]
fn w20_a_root_that_is_added_counts_soon() {
    if is_outside_of("weaknesses::certificates::w20_a_root_that_is_added_counts_soon") {
        return;
    }
    let lab = Lab::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let next = Authority::new("next");
    let told = || runtime.block_on(greeting(next.issue(&web())));
    assert_eq!(told(), "alert UnknownCA");
    // Whoever asks an authority is given both, and whoever looks into its folder finds them there.
    let roots = authority(&lab).root() + &next.root();
    fs::write(lab.folder().join("authority/root-cert.pem"), roots).unwrap();
    let added = Instant::now();
    let mut last = told();
    while last != format!("frame {SETTINGS}") {
        assert!(added.elapsed() < SOON, "{last}");
        pause();
        last = told();
    }
}

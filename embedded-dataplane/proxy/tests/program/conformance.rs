//! The wire contract of HBONE as a table: what comes of each thing that is said to the tunnel's port,
//! and what a relay says itself. Asked of ours always, and of Istio's ztunnel where
//! `AMBIENT_PEER_ZTUNNEL` names its program; a difference between the two stands in the table with its
//! reason. Both meet Envoy in the tests of the library.

pub(crate) mod client;
mod inbound;
pub(crate) mod outbound;
mod table;

use std::io::Write as _;
use std::path::PathBuf;

use crate::lab::{Lab, Relay, is_outside_of};
use table::Which;

/// Asks one relay, and compares with its column.
fn hold(relay: &Relay, which: Which) {
    let lab = Lab::with_relays([relay, relay]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut told, mut expected) = (Vec::new(), Vec::new());
    for case in inbound::CASES {
        let said = runtime.block_on(inbound::ask(&lab, &case.asked));
        expected.push(case.line(which, &said));
        told.push(format!("{}: {said}", case.name));
    }
    assert_eq!(told.join("\n"), expected.join("\n"), "{}", lab.server.log());
}

#[test]
fn ours_says_to_clients_what_the_table_says() {
    if is_outside_of("conformance::ours_says_to_clients_what_the_table_says") {
        return;
    }
    hold(&Relay::Ours, Which::Ours);
}

#[test]
fn ztunnel_says_to_clients_what_the_table_says() {
    let Some(program) = ztunnel() else { return };
    if is_outside_of("conformance::ztunnel_says_to_clients_what_the_table_says") {
        return;
    }
    hold(&Relay::Ztunnel(program), Which::Ztunnel);
}

#[test]
fn ours_says_to_servers_what_the_table_says() {
    if is_outside_of("conformance::ours_says_to_servers_what_the_table_says") {
        return;
    }
    outbound::hold(&Relay::Ours, Which::Ours);
}

#[test]
fn ztunnel_says_to_servers_what_the_table_says() {
    let Some(program) = ztunnel() else { return };
    if is_outside_of("conformance::ztunnel_says_to_servers_what_the_table_says") {
        return;
    }
    outbound::hold(&Relay::Ztunnel(program), Which::Ztunnel);
}

/// Istio's ztunnel, which is never asked for in CI.
fn ztunnel() -> Option<PathBuf> {
    let program = std::env::var_os("AMBIENT_PEER_ZTUNNEL").map(PathBuf::from);
    if program.is_none() {
        let told = "skipped: `AMBIENT_PEER_ZTUNNEL` names no program of ztunnel";
        _ = writeln!(std::io::stderr(), "{told}");
    }
    program
}

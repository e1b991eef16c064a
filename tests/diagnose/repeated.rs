//! Probes that are repeated: `--count`, `--interval` and `--watch`.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

use ambient_testkit::{ClientPolicy, Peer, Script, Secured};

use crate::run::{Files, command, program, result, text};

/// A port of ours, and where it is.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().unwrap().0
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let status = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn several_probes_of_one_address_have_a_summary() {
    let files = Files::new();
    let script = Script::tls(&files.server, ClientPolicy::Required, Secured::Silent);
    let peer = Peer::start(script).await;
    let address = peer.address.to_string();
    let repeated = ["--count", "3", "--interval", "1ms"];
    let arguments = [&["--address", &address, "-o", "json"][..], &repeated].concat();
    let output = program(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let probes = result(&output)["probes"].clone();
    assert_eq!(
        (&probes["count"], &probes["healthy"]),
        (&3.into(), &3.into())
    );
    let times = ["p50", "p90", "p99", "max"].map(|p| probes["milliseconds"][p].as_f64().unwrap());
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_probes_of_several_addresses_have_a_line_each() {
    let files = Files::new();
    let script = Script::tls(&files.server, ClientPolicy::Required, Secured::Silent);
    let peer = Peer::start(script).await;
    let address = peer.address.to_string();
    let (nobody, gone) = listener();
    drop(nobody);
    let addresses = ["--address", &address, "--address", &gone];
    let repeated = ["--count", "3", "--interval", "1ms"];
    let output = program(&[&addresses[..], &repeated].concat());
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let table = shown.lines().take(3).map(|line| {
        let words = line.split_whitespace().map(|word| match word {
            word if word == address => "PEER",
            word if word == gone => "GONE",
            word if word.ends_with("ms") => "TIME",
            word => word,
        });
        words.collect::<Vec<_>>().join(" ")
    });
    insta::assert_snapshot!(table.collect::<Vec<_>>().join("\n"), @"
    ADDRESS HEALTHY P50 P90 P99 LONGEST CAUSE
    PEER 3/3 TIME TIME TIME TIME healthy
    GONE 0/3 <none> <none> <none> <none> connect-refused
    ");
}

#[cfg(unix)]
#[test]
fn an_interruption_shows_what_was_found_until_then() {
    let (listener, address) = listener();
    let repeated = ["--count", "1000", "--interval", "1ms", "-o", "json"];
    let mut child = command(&[&["--address", &address][..], &repeated].concat());
    let child = child.spawn().unwrap();
    drop(accept(&listener));
    drop(accept(&listener));
    // The two before are over.
    let held = accept(&listener);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    let result = result(&output);
    assert_eq!(result["cause"], "closed-before-tls");
    assert_eq!(result["probes"]["count"], 2);
    drop(held);
}

/// A peer that never answers holds up nobody but itself.
#[test]
fn each_address_has_its_own_pace() {
    let (stalls, slow) = listener();
    let (listener, quick) = listener();
    let addresses = ["--address", &slow, "--address", &quick];
    let repeated = ["--count", "5", "--interval", "1ms", "--timeout", "10m"];
    let mut child = command(&[&addresses[..], &repeated].concat());
    let mut child = child.spawn().unwrap();
    let held = accept(&stalls);
    for _ in 0..5 {
        drop(accept(&listener));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_shows_what_changes_until_it_is_ended() {
    let files = Files::new();
    let script = Script::tls(&files.server, ClientPolicy::Required, Secured::Silent);
    let peer = Peer::start(script).await;
    let address = peer.address.to_string();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"))
        .args([
            "diagnose",
            "--address",
            &address,
            "--watch",
            "--interval",
            "10ms",
        ])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.ends_with(&format!(" {address} healthy")), "{first}");
    drop(peer);
    // A probe that is under way when the peer goes sees it close.
    let refused = |line: &Result<String, _>| {
        let line: &String = line.as_ref().unwrap();
        line.contains(" connect-refused: tcp: ")
    };
    assert!(lines.find(refused).is_some());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_in_json_tells_the_time_and_ends_with_its_reader() {
    let files = Files::new();
    let script = Script::tls(&files.server, ClientPolicy::Required, Secured::Silent);
    let peer = Peer::start(script).await;
    let address = peer.address.to_string();
    let watch = ["--watch", "--interval", "10ms", "-o", "json"];
    let mut child = command(&[&["--address", &address][..], &watch].concat());
    let mut child = child.spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["cause"], "healthy");
    let time = line["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    drop(reader);
    // That is a change, and nobody reads it.
    drop(peer);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_watch_that_is_interrupted_says_so() {
    let (listener, address) = listener();
    let mut child = command(&["--address", &address, "--watch"]);
    let mut child = child.spawn().unwrap();
    drop(accept(&listener));
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains(" closed-before-tls: tls: "), "{line}");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

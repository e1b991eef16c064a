//! One process takes over from another, and what probes and scrapers see of it.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use tempfile::TempDir;

use crate::alone::{configured, free, program};
use crate::harness::{Process, eventually, get};

/// Probes until it is told to stop, and counts; tells whatever else than 200 was answered.
fn probe(at: SocketAddr, path: &str, count: &AtomicUsize, stop: &AtomicBool) -> Vec<String> {
    let mut others = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = get(at, path).unwrap_or_else(|| "no answer".to_owned());
        if !answer.starts_with("HTTP/1.1 200") {
            let last = answer.lines().last().unwrap_or("an empty answer");
            others.push(format!("{path}: {last}"));
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    others
}

/// Has probes stop, whatever becomes of the test.
struct Stop<'s>(&'s AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Where relays follow each other.
struct Place {
    folder: TempDir,
    ports: [SocketAddr; 6],
    config: String,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = free();
        Self {
            config: configured(folder.path(), &ports),
            folder,
            ports,
        }
    }

    /// Where they meet.
    fn path(&self) -> PathBuf {
        self.folder.path().join("handover")
    }

    /// The next one, which logs into a file of this name.
    fn start(&self, log: &str, arguments: &[&str]) -> Process {
        let mut command = program(&self.config);
        command.arg("--handover").arg(self.path()).args(arguments);
        Process::start(&mut command, self.folder.path().join(log))
    }
}

#[test]
fn w15_a_probe_at_any_moment_of_a_hand_over_is_answered_that_it_is_ready() {
    let place = Place::new();
    let mut last = place.start("first", &[]);
    last.logs("ready\tworkload");
    let [.., metrics, status] = place.ports;
    eventually("it is ready", || {
        get(status, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let (count, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let others = thread::scope(|scope| {
        let probing = [
            (status, "/healthz/ready"),
            (status, "/healthz/ready"),
            (metrics, "/metrics"),
        ];
        let (count, asked, stop) = (&count, &stop, Stop(&stop));
        let probing = probing.map(|(at, path)| scope.spawn(move || probe(at, path, count, asked)));
        for number in 0..10 {
            let before = count.load(Ordering::Relaxed);
            let next = place.start(&format!("successor-{number}"), &[]);
            next.logs("ready\tworkload");
            assert_eq!(last.ended(), Some(0));
            last = next;
            let answers = || count.load(Ordering::Relaxed) > before + 10;
            eventually("they are answered", answers);
        }
        drop(stop);
        probing.map(|probing| probing.join().unwrap()).concat()
    });
    assert_eq!(others, [""; 0]);
}

#[test]
fn a_successor_takes_over_and_the_predecessor_ends() {
    let place = Place::new();
    let mut first = place.start("first", &[]);
    first.logs("ready");
    let second = place.start("second", &[]);
    assert_eq!(first.ended(), Some(0));
    second.logs("ready");
    let [.., status] = place.ports;
    let answer = get(status, "/healthz/ready").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    first.logs("a successor has taken over");
    // The next finds the second.
    let third = place.start("third", &[]);
    third.logs("ready");
    second.logs("a successor has taken over");
}

#[test]
fn a_successor_that_dies_is_followed_while_its_predecessor_carries_on() {
    let place = Place::new();
    let mut first = place.start("first", &["--handshake", "60s"]);
    first.logs("ready");
    let [_, _, tunnels, _, metrics, _] = place.ports;
    // It has not said anything yet, and is waited for.
    let slow = TcpStream::connect(tunnels).unwrap();
    eventually("the first has accepted it", || {
        get(metrics, "/metrics").is_some_and(|all| all.contains("ambient_inbound_silent 1\n"))
    });
    let second = place.start("second", &["--handshake", "60s"]);
    second.logs("ready");
    first.logs("a successor has taken over");
    drop(second);
    let third = place.start("third", &["--handshake", "60s"]);
    third.logs("ready\tworkload");
    assert!(!first.log().contains("draining"), "{}", first.log());
    drop(slow);
    assert_eq!(first.ended(), Some(0));
}

#[test]
fn a_signal_ends_it_while_it_waits_for_a_predecessor() {
    let place = Place::new();
    let silent = UnixListener::bind(place.path()).unwrap();
    let mut process = place.start("log", &[]);
    // It looks whether somebody is there, and asks when it has all that it needs.
    let _looking = silent.accept().unwrap();
    let _asking = silent.accept().unwrap();
    process.terminate();
    assert_eq!(process.ended(), Some(0));
    let log = process.log();
    assert!(
        log.contains("ending before it serves\tcause=\"SIGTERM\""),
        "{log}"
    );
}

#[test]
fn a_successor_that_cannot_serve_leaves_its_predecessor_as_it_was() {
    let place = Place::new();
    let first = place.start("first", &[]);
    let [_, plaintext, tunnels, _, _, status] = place.ports;
    eventually("it is ready", || {
        get(status, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let elsewhere = plaintext.to_string();
    let certificates = place.folder.path().join("authority-of-nobody");
    let mut told = String::new();
    let gone_on = "a successor did not take over, and this process goes on";
    // Only who has a certificate asks for the listeners.
    for (number, (arguments, asked)) in [
        (["--authority", certificates.to_str().unwrap()], 0),
        (["--tunnels", &elsewhere], 1),
    ]
    .into_iter()
    .enumerate()
    {
        let mut failing = place.start(&format!("failing {number}"), &arguments);
        let code = failing.ended();
        let error = failing.log();
        let error = error.lines().find(|line| line.starts_with("error"));
        _ = writeln!(told, "{code:?} {}", error.unwrap_or_default());
        eventually("the predecessor tells of it", || {
            first.log().matches(gone_on).count() >= asked
        });
        assert!(!first.log().contains("a successor has taken over"));
        let answer = get(status, "/healthz/ready").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let told = told.replace(&place.folder.path().display().to_string(), "FOLDER");
    let told = told.replace(&tunnels.to_string(), "TUNNELS");
    insta::assert_snapshot!(told, @"
    Some(1) error: there is no certificate, and the predecessor goes on: cannot read `FOLDER/authority-of-nobody/ca-cert.pem`: there is no such file
    Some(64) error: the predecessor listens for `tunnels` at TUNNELS, and goes on; `--tunnels` has to lead there too, or the predecessor to end before
    ");
    let next = place.start("next", &[]);
    next.logs("ready");
    first.logs("a successor has taken over");
    let log = first.log();
    assert_eq!(log.matches(gone_on).count(), 1, "{log}");
}

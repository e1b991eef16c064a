//! What probes and scrapers see while one process takes over from another.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

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

#[test]
fn w15_a_probe_at_any_moment_of_a_hand_over_is_answered_that_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let path = folder.path().join("handover");
    let start = |log: &str| {
        let mut command = program(&config);
        command.arg("--handover").arg(&path);
        Process::start(&mut command, folder.path().join(log))
    };
    let mut last = start("first");
    last.logs("ready\tworkload");
    let [.., metrics, status] = ports;
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
            let next = start(&format!("successor-{number}"));
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

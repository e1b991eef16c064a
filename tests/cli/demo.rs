//! `demo`: relays at work, on the loopback addresses that Linux has.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests, which clippy does not see"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::Ambient;

/// A text without what differs each time: ports, times, and the name of a file.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, after) = number.split_at(end.unwrap_or(number.len()));
        steady += before;
        let is_port = before.ends_with(':');
        let is_time = after.starts_with("ms");
        steady += if is_port || is_time { "<N>" } else { number };
        rest = after;
    }
    let steady = steady + rest;
    // A column is as wide as the longest port.
    let lines = steady.lines().map(|line| {
        let columns: Vec<_> = line
            .split("  ")
            .map(str::trim)
            .filter(|c| !c.is_empty())
            .collect();
        let is_row = line.starts_with("demo/") || line.starts_with("RELAY OF");
        if is_row {
            columns.join(" | ")
        } else {
            line.to_owned()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn once_shows_who_saw_whom_and_ends() {
    let run = Ambient::new().args(["demo", "--once"]).run();
    insta::assert_snapshot!(steady(&run.to_string()), @"
    exit code: 0
    ----- stdout -----
    RELAY OF | CLIENTS AT | TUNNELS AT | IDENTITY
    demo/web | 127.0.0.2:<N> | <none> | spiffe://cluster.local/ns/demo/sa/web
    demo/echo | <none> | 127.0.0.3:<N> | spiffe://cluster.local/ns/demo/sa/echo
    demo/stranger | 127.0.0.4:<N> | <none> | spiffe://elsewhere.example/ns/demo/sa/stranger

    ok     what is sent through the tunnel comes back
           262144 octets unchanged, in <N>ms
    ok     the client's relay knows the server
           spiffe://cluster.local/ns/demo/sa/echo
    ok     the server's relay knows the client
           spiffe://cluster.local/ns/demo/sa/web
    ok     metrics count it, in mutual TLS
           `demo/web` and `demo/echo` counted the octets
    ok     the log has it
           a line of each relay
    ok     another trust domain gets nothing
           the connection was reset
    ok     the server's relay says why
           the client is `spiffe://elsewhere.example/ns/demo/sa/stranger`, and not of trust domain
           `cluster.local`
    ok     the other relay says it too
           tls error: the peer refused: alert 46, certificate_unknown
    ok     no task panicked
           none

    9 of 9 as it should be
    ended, and cut off: nobody
    ----- stderr -----
    ");
}

/// The program at work, whose terminal is this test.
struct Demo {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    shown: String,
}

impl Demo {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"))
            .env_clear()
            .arg("demo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut demo = Self {
            child,
            stdout,
            shown: String::new(),
        };
        while !demo.shown.ends_with("Ctrl-C ends it.\n") {
            assert_ne!(
                demo.stdout.read_line(&mut demo.shown).unwrap(),
                0,
                "{}",
                demo.shown
            );
        }
        demo
    }

    /// What stands after a word that is shown.
    fn shown(&self, word: &str) -> &str {
        let (_, rest) = self.shown.split_once(word).unwrap();
        rest.lines().next().unwrap().trim()
    }

    /// Sends a signal, and gives the exit code and what was shown after that.
    fn told(mut self, signal: &str) -> (Option<i32>, String) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(sent.success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Where the test has failed; otherwise it has ended by now.
        _ = self.child.kill();
    }
}

fn sent(to: &str, octets: &str) -> String {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(octets.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The body of a page at an address that is shown as `http://HOST:PORT/PAGE of …`.
fn page(shown: &str) -> String {
    let url = shown.split(' ').next().unwrap();
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let answer = sent(host, &request);
    let parts = answer.split_once("\r\n\r\n");
    let (head, body) = parts.unwrap_or_else(|| panic!("{shown}: {answer:?}"));
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    body.to_owned()
}

#[test]
fn it_goes_on_until_it_is_interrupted_and_leaves_nothing() {
    let demo = Demo::start();
    let log = demo.shown("log:").to_owned();
    let entrance = demo.shown("nc ").replace(' ', ":");

    assert_eq!(sent(&entrance, "is anybody there?"), "is anybody there?");
    let metrics = page(demo.shown("metrics:"));
    assert!(
        metrics.contains("istio_tcp_connections_opened_total{reporter=\"source\""),
        "{metrics}"
    );
    let dump: serde_json::Value =
        serde_json::from_str(&page(demo.shown("configuration:"))).unwrap();
    assert_eq!(dump["certificates"][0]["state"], "Available", "{dump}");
    // The line of that connection comes at its end, and is written by a thread of its own.
    let line = "bytes_sent=17 bytes_recv=17";
    while !std::fs::read_to_string(&log).unwrap().contains(line) {
        std::thread::yield_now();
    }

    assert_eq!(
        demo.told("-INT"),
        (Some(0), "ended, and cut off: nobody\n".to_owned())
    );
    assert!(!Path::new(&log).exists());
}

#[test]
fn it_leaves_nothing_when_the_system_ends_it() {
    let demo = Demo::start();
    let log = demo.shown("log:").to_owned();
    assert_eq!(
        demo.told("-TERM"),
        (Some(0), "ended, and cut off: nobody\n".to_owned())
    );
    assert!(!Path::new(&log).exists());
}

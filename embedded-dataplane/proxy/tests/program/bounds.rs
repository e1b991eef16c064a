//! What crowds may take of it. Looks at the process through `/proc`.
#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::alone::{configured, free, program};
use crate::harness::{PROGRAM, Process, eventually, get};

#[test]
fn w1_ten_thousand_idle_sockets_take_little_and_are_let_go() {
    const SOCKETS: usize = 10_000;
    // Fewer where this process may not have so many.
    let granted = ambient_hbone::descriptors(SOCKETS + 500);
    let many = SOCKETS.min(granted.saturating_sub(500));
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let mut command = program(&config);
    command.args(["--handshake", "3s"]);
    let process = Process::start(&mut command, folder.path().join("log"));
    process.logs("ready");
    let [_, _, tunnels, ..] = ports;
    let (files, memory) = (process.open_files(), process.memory());
    let sockets: Vec<_> = (0..many)
        .map(|_| TcpStream::connect(tunnels).unwrap())
        .collect();
    eventually("it has accepted all of them", || {
        process.open_files() >= files + many
    });
    let each = process.memory().saturating_sub(memory) / u64::try_from(many).unwrap();
    assert!(each < 6_000, "{each} octets for each of {many}");
    eventually("it let go of all of them", || {
        process.open_files() < files + 10
    });
    drop(sockets);
    // It serves whoever means it, and has told of the crowd in few lines.
    let [.., status] = ports;
    assert!(
        get(status, "/healthz/ready")
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let lines = process.log().lines().count();
    assert!(lines < 200, "{lines} lines");
}

/// The program, with so many descriptors.
fn with_descriptors(many: usize, config: &str) -> Command {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {many}; exec \"$0\" ztunnel --config \"$1\" --handshake 60s");
    command.args(["-c", &script, PROGRAM, config]);
    command
}

#[test]
fn with_too_few_descriptors_it_says_so_and_how_to_get_more() {
    let folder = tempfile::tempdir().unwrap();
    let config = configured(folder.path(), &free());
    let told = [6, 8, 20, 47].map(|many| {
        let output = with_descriptors(many, &config).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        format!("{:?} {text}", output.status.code())
    });
    insta::assert_snapshot!(told.concat(), @"
    Some(64) error: the limit of open files is 6, and a relay needs 48 at least; `ulimit -n 65536` before it is started, or `LimitNOFILE=65536` in its unit, raises it
    Some(64) error: the limit of open files is 8, and a relay needs 48 at least; `ulimit -n 65536` before it is started, or `LimitNOFILE=65536` in its unit, raises it
    Some(64) error: the limit of open files is 20, and a relay needs 48 at least; `ulimit -n 65536` before it is started, or `LimitNOFILE=65536` in its unit, raises it
    Some(64) error: the limit of open files is 47, and a relay needs 48 at least; `ulimit -n 65536` before it is started, or `LimitNOFILE=65536` in its unit, raises it
    ");
}

#[test]
fn without_descriptors_it_waits_says_so_once_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let mut command = with_descriptors(60, &config);
    let process = Process::start(&mut command, folder.path().join("log"));
    process.logs("ready");
    let [.., metrics, status] = ports;
    let crowd: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(metrics).unwrap())
        .collect();
    process.logs("cannot accept connections");
    // One of them is the folder that is being looked at.
    assert!(process.open_files() <= 61);
    drop(crowd);
    eventually("it is reached again, and says so", || {
        let answer = get(status, "/healthz/ready");
        // Whoever comes is what shows that it is over.
        drop(TcpStream::connect(metrics));
        answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
            && process.log().contains("accepting again")
    });
    let log = process.log();
    let complaints = log.matches("cannot accept connections").count();
    // Once of each listener that somebody came to.
    assert!(complaints <= 2, "{log}");
}

#[test]
fn a_crowd_at_the_tunnels_leaves_descriptors_for_the_workload() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let mut command = with_descriptors(60, &config);
    let process = Process::start(&mut command, folder.path().join("log"));
    process.logs("ready");
    let [outbound, _, tunnels, .., status] = ports;
    let before = process.open_files();
    let crowd: Vec<_> = (0..200)
        .map(|_| TcpStream::connect(tunnels).unwrap())
        .collect();
    process.logs("silent clients are hung up on: no descriptors");
    let files = process.open_files();
    assert!(files <= before + 30, "{files} of {before}");
    // It is accepted, and told that nothing led it here.
    let mut client = TcpStream::connect(outbound).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let end = client.read(&mut [0]);
    assert!(
        end.as_ref().map_or_else(
            |error| error.kind() == ErrorKind::ConnectionReset,
            |octets| *octets == 0
        ),
        "{end:?}"
    );
    let answer = get(status, "/healthz/ready").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let log = process.log();
    assert_eq!(log.matches("hung up on").count(), 1, "{log}");
    assert_eq!(log.matches("cannot accept").count(), 0, "{log}");
    drop(crowd);
}

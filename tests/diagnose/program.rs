//! The program as it is run: exit codes, output, and what is never in it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use ambient_testkit::{Authority, ClientPolicy, Leaf, Peer, Script, Secured, Tunnel};

use crate::run::{Files, program, result, text};

#[tokio::test(flavor = "multi_thread")]
async fn json_has_every_step_and_the_server() {
    let files = Files::new();
    let script = Script::tls(
        &files.server,
        ClientPolicy::Required,
        Secured::Http2(Tunnel::Status(503)),
    );
    let peer = Peer::start(script).await;
    let address = peer.address.to_string();
    let output = program(&[
        "--address",
        &address,
        "--cert",
        &files.flag("cert.pem"),
        "--key",
        &files.flag("key.pem"),
        "--root",
        &files.flag("root.pem"),
        "--target",
        "10.0.0.7:8080",
        "-o",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let mut result = result(&output);
    for step in result["steps"].as_array_mut().unwrap() {
        if let Some(time) = step.get_mut("milliseconds") {
            assert!(time.as_f64().unwrap() < 2000.0, "{time}");
            *time = "TIME".into();
        }
    }
    for name in ["notBefore", "notAfter"] {
        result["server"][name] = "DATE".into();
    }
    let shown = serde_json::to_string_pretty(&result).unwrap();
    insta::assert_snapshot!(shown.replace(&address, "PEER"));
    let everything = text(&output.stdout) + &text(&output.stderr);
    for line in files.client.key.lines() {
        assert!(!everything.contains(line), "a part of the key is shown");
    }
}

#[test]
fn a_port_without_a_listener_is_told_with_its_steps() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let output = program(&["--address", &address]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output.stdout).replace(&address, "PEER");
    // Times differ, and so does the width of their column.
    let shown: Vec<String> = shown
        .lines()
        .map(|line| {
            let words = line.split_whitespace();
            let words = words.map(|w| if w.ends_with("ms") { "TIME" } else { w });
            words.collect::<Vec<_>>().join(" ")
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

/// A queue that is full drops what knocks, as a NetworkPolicy does.
#[test]
#[cfg(target_os = "linux")]
fn a_peer_that_never_answers_costs_the_time_of_one_step() {
    let address = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    // Connections that fill the queue; the last of them hang themselves.
    let held: Vec<_> = (0..3)
        .map(|_| {
            let timeout = std::time::Duration::from_millis(50);
            std::net::TcpStream::connect_timeout(&address, timeout)
        })
        .collect();
    let address = address.to_string();
    let output = program(&["--address", &address, "--timeout", "300ms", "-o", "json"]);
    let result = result(&output);
    assert_eq!(result["cause"], "connect-timeout");
    let steps = result["steps"].as_array().unwrap();
    assert!(steps[1]["milliseconds"].as_f64().unwrap() >= 299.0);
    assert!(steps[2..].iter().all(|step| step["result"] == "skipped"));
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_addresses_are_probed_at_once() {
    let files = Files::new();
    let script = Script::tls(&files.server, ClientPolicy::Required, Secured::Silent);
    let peer = Peer::start(script).await;
    let mut list = "# addresses of one peer\n\n".to_owned();
    for number in 1..=250 {
        _ = writeln!(list, "127.0.1.{number}:{} # one", peer.address.port());
    }
    let list = files.write("list", &list);
    let output = program(&["-f", &list, "--timeout", "5s", "-o", "json"]);
    // The peer listens on one of the loopback addresses only.
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let results = document["results"].as_array().unwrap();
    assert_eq!(results.len(), 250);
    assert!(results.iter().all(|r| r["cause"] == "connect-refused"));
}

#[test]
fn input_that_cannot_be_used_is_told_and_ends_with_2() {
    let files = Files::new();
    let garbage = files.write("garbage", "this is no PEM");
    let list = files.write("list", "\u{feff}10.0.0.1\n10.0.0.1:99999\n");
    let empty = files.write("empty", "# nothing\n");
    let (cert, key) = (files.flag("cert.pem"), files.flag("key.pem"));
    let other = Authority::new("other").issue(&Leaf::of("a/ns/b/sa/c"));
    let other = files.write("other.pem", &other.key);
    let missing = files.flag("missing");
    let all: [&[&str]; 13] = [
        &[],
        &["--address", "10.0.0.1:0"],
        &["--address", "fe80::1%"],
        &["--address", "a b"],
        &["--address", "10.0.0.1", "--cert", &cert],
        &["--address", "10.0.0.1", "--cert", &garbage, "--key", &key],
        &["--address", "10.0.0.1", "--cert", &cert, "--key", &garbage],
        &["--address", "10.0.0.1", "--cert", &cert, "--key", &other],
        &["--address", "10.0.0.1", "--root", &missing],
        &["--address", "10.0.0.1", "--root", &garbage],
        &["-f", &list],
        &["-f", &empty],
        &["--address", "10.0.0.1", "--timeout", "0s"],
    ];
    let folder = files.folder.path().display().to_string();
    let mut told = String::new();
    for arguments in all {
        let output = program(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let error = text(&output.stderr).replace(&folder, "FOLDER");
        told.extend(error.lines().take(2).map(|line| format!("{line}\n")));
        told.push('\n');
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_key_in_the_wrong_place_is_not_shown() {
    let files = Files::new();
    let key = files.client.key.clone();
    let (_, body) = key.split_once('\n').unwrap();
    let body = files.write("body", body);
    let cert = files.flag("cert.pem");
    let joined = format!("--key={key}");
    let all: [&[&str]; 4] = [
        &["--address", "127.0.0.1", "--cert", &cert, "--key", &key],
        &["--address", "127.0.0.1", "--cert", &cert, &joined],
        &["--address", &key],
        &["-f", &body],
    ];
    for arguments in all {
        let output = program(arguments);
        assert_eq!(output.status.code(), Some(2));
        let everything = text(&output.stdout) + &text(&output.stderr);
        for line in key.lines().filter(|line| line.len() > 8) {
            let part = &line[..line.len() / 2];
            assert!(!everything.contains(part), "{everything}");
        }
    }
}

#[test]
fn a_list_comes_from_standard_input_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"))
        .args(["diagnose", "-f", "-", "-o", "json", "--timeout", "1s"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"no-such-name.invalid\n").unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(result(&output)["cause"], "resolve-failed");
}

#[test]
fn every_cause_is_explained() {
    for cause in kubectl_ambient::probe::Cause::ALL {
        let output = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"))
            .args(["explain", cause.name()])
            .output()
            .unwrap();
        assert!(output.status.success());
        let shown = text(&output.stdout);
        let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            cause.title(),
            cause.meaning(),
            cause.evidence(),
            cause.remedy(),
        ] {
            assert!(shown.contains(part), "{shown}");
        }
    }
}

#[test]
fn help_tells_the_exit_codes_of_a_probe() {
    let help = text(&program(&["--help"]).stdout);
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let (codes, _) = codes.split_once("\n\n").unwrap();
    insta::assert_snapshot!(codes, @"
    0    every address is healthy
    1    a cause was found
    2    wrong usage, or input that cannot be used: nothing was probed
    70   a bug in this program
    130  interrupted
    ");
}

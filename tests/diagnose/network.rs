//! What the kernel does to connections, in a network namespace of its own. Needs `unshare`, `ip` and
//! `nft`, and root or a kernel that lets users have namespaces.

use std::io::Write as _;
use std::process::{Command, Output};

/// The cause and what was seen of TCP, for each address, in a namespace that was set up so.
fn probed(setup: &str, addresses: &[&str]) -> Option<String> {
    let addresses = addresses.join(" --address ");
    let program = env!("CARGO_BIN_EXE_kubectl-ambient");
    let script = format!(
        "set -e; ip link set lo up\n{setup}\nset +e; {program} diagnose --timeout 500ms -o json --address {addresses}"
    );
    let output = in_namespace(&["sh", "-c", &script])?;
    let document: serde_json::Value = match serde_json::from_slice(&output.stdout) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)),
    };
    let results = document["results"].as_array()?;
    let lines = results.iter().map(|result| {
        let tcp = &result["steps"][1]["detail"];
        let (address, cause) = (&result["address"], &result["cause"]);
        format!("{address} {cause} {tcp}\n").replace('"', "")
    });
    Some(lines.collect())
}

/// Runs something in a new network namespace; `None` where there can be none.
fn in_namespace(words: &[&str]) -> Option<Output> {
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let run = |way: &[&str], words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(way).args(words).output().ok()
    };
    let is_open = |way: &&&[&str]| run(way, &["true"]).is_some_and(|o| o.status.success());
    run(ways.iter().find(is_open)?, words)
}

/// Whether the test can be run here. In CI it must be.
fn is_possible(name: &str) -> bool {
    let needed = ["nft --version", "ip -V"];
    let works = |words: &str| in_namespace(&["sh", "-c", words]);
    let possible = needed
        .iter()
        .all(|words| works(words).is_some_and(|output| output.status.success()));
    let reason = format!("{name} needs unshare, ip and nft");
    assert!(possible || std::env::var_os("CI").is_none(), "{reason}");
    if !possible {
        _ = writeln!(std::io::stderr(), "skipped: {reason}");
    }
    possible
}

#[test]
fn firewalls_and_routes() {
    if !is_possible("firewalls_and_routes") {
        return;
    }
    let setup = "
        ip addr add 10.1.0.1/24 dev lo
        ip addr add fd00::1/64 dev lo nodad
        ip route add unreachable 10.2.0.0/24
        ip route add prohibit 10.3.0.0/24
        nft add table inet t
        nft add chain inet t in '{ type filter hook input priority 0; }'
        nft add rule inet t in tcp dport 1001 drop
        nft add rule inet t in tcp dport 1002 reject with icmpx port-unreachable
        nft add rule inet t in tcp dport 1003 reject with icmpx admin-prohibited
        nft add rule inet t in tcp dport 1004 reject with tcp reset
    ";
    let addresses = [
        "10.1.0.1:1001",
        "10.1.0.1:1002",
        "10.1.0.1:1003",
        "10.1.0.1:1004",
        "[fd00::1]:1001",
        "[fd00::1]:1002",
        "[fd00::1]:1003",
        "[fd00::1]:1004",
        "10.2.0.1",
        "10.3.0.1",
        "10.4.0.1",
    ];
    insta::assert_snapshot!(probed(setup, &addresses).unwrap_or_default(), @"
    10.1.0.1:1001 connect-timeout no answer within 500ms
    10.1.0.1:1002 connect-rejected ICMP type 3 code 3 from 10.1.0.1, the peer's own address
    10.1.0.1:1003 unreachable ICMP type 3 code 13 from 10.1.0.1, the peer's own address
    10.1.0.1:1004 connect-refused answered with RST
    [fd00::1]:1001 connect-timeout no answer within 500ms
    [fd00::1]:1002 connect-rejected ICMPv6 type 1 code 4 from fd00::1, the peer's own address
    [fd00::1]:1003 unreachable ICMPv6 type 1 code 1 from fd00::1, the peer's own address
    [fd00::1]:1004 connect-refused answered with RST
    10.2.0.1:15008 unreachable no route to host
    10.3.0.1:15008 unreachable permission denied
    10.4.0.1:15008 unreachable network is unreachable
    ");
}

//! `diagnose` against many addresses at once, all of them played by this process.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::{fs, iter};

use ambient_testkit::{Authority, ClientPolicy, Leaf, Peer, Script, Secured, Tunnel};
use clap::Args;
use tokio::runtime::Runtime;

use super::programs::{median, once, ours};
use super::table::{self, Table};

/// Options of `bench probe`.
#[derive(Debug, Args)]
pub(crate) struct Probe {
    /// How many addresses are probed at once.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    addresses: u32,
    /// How often; the table shows medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
}

/// What is probed, and with which flags.
const CASES: [(&str, &[&str]); 3] = [
    ("no certificate", &[]),
    ("certificate", &["--cert", "cert.pem", "--key", "key.pem"]),
    (
        "certificate, tunnel, 1000 octets",
        &[
            "--cert",
            "cert.pem",
            "--key",
            "key.pem",
            "--target",
            "10.0.0.7:80",
            "--size",
            "1000",
        ],
    ),
];

/// Probes all addresses of one peer that listens on the whole of 127.0.0.0/8, which Linux has, and
/// which so is a different address for each probe.
///
/// # Errors
///
/// When the program cannot be run or finds a cause, or a file or the output not be written.
pub(super) fn run(probe: &Probe, output: &mut impl Write) -> io::Result<()> {
    let ours = ours()?;
    let authority = Authority::new("bench");
    let server = authority.issue(&Leaf::of("cluster.local/ns/bench/sa/server"));
    let client = authority.issue(&Leaf::of("cluster.local/ns/bench/sa/client"));
    let secured = Secured::Http2(Tunnel::Echo);
    let script = Script::tls(&server, ClientPolicy::Required, secured);
    let runtime = Runtime::new()?;
    let peer = runtime.block_on(Peer::start_at(Ipv4Addr::UNSPECIFIED, vec![script]));

    let folder = std::env::temp_dir().join(format!("ambient-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let files = [
        ("list", addresses(probe.addresses, peer.address.port())),
        ("root.pem", authority.root()),
        ("cert.pem", client.chain),
        ("key.pem", client.key),
    ];
    let written = files
        .iter()
        .try_for_each(|(name, text)| fs::write(folder.join(name), text));
    let measured = written.and_then(|()| measure(&ours, &folder, probe.runs));
    fs::remove_dir_all(&folder)?;
    writeln!(output, "{} addresses\n\n{}", probe.addresses, measured?)
}

fn measure(ours: &Path, folder: &Path, runs: u32) -> io::Result<Table> {
    let probe = |flags: &[&str]| {
        let mut command = Command::new(ours);
        command
            .args(["diagnose", "-f", "list", "--root", "root.pem"])
            .args(["-o", "json"])
            .args(flags)
            .current_dir(folder);
        // It succeeds only when it finds all of them healthy.
        once(&mut command)
    };
    let mut table = Table::new(&["probe", "wall", ""]);
    for (name, flags) in CASES {
        let times = iter::repeat_with(|| probe(flags)).take(runs as usize);
        let mut times = times.collect::<io::Result<Vec<_>>>()?;
        table.push(&[name, &table::milliseconds(median(&mut times)), ""]);
    }
    Ok(table)
}

fn addresses(count: u32, port: u16) -> String {
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 0));
    let mut list = String::new();
    for number in 0..count {
        _ = writeln!(list, "{}:{port}", Ipv4Addr::from(first + number));
    }
    list
}

//! A tunnel between two pods: ours, beside nothing and beside a peer, on the same machine in turn.
//!
//! Every variant is alive all the time, with pods of its own. For each figure the variants run one
//! after the other for a few seconds, and in the opposite order in the next round, so that all meet
//! the same machine; the table has medians, and ratios of runs of the same round. What the machine
//! did beside it is said.
//!
//! ```text
//! client pod ── cable ── server pod     (each with its proxy, captured as in a cluster)
//! ```

mod load;
mod pods;
mod starts;
mod trial;
mod variants;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ambient_testkit::Authority;
use clap::Args;

use self::trial::{CELLS, Cell, Trial};
use self::variants::{Kind, Setting, Variant};
use super::table::Table;

pub(super) use self::load::{Answer, Ask, Certify, answer, ask, certify};

/// Options of `bench tunnel`.
#[derive(Debug, Args)]
pub(crate) struct Tunnel {
    /// How often each figure is measured; the table shows medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds of each trial, after half a second that does not count.
    #[arg(long, default_value_t = 2500, value_parser = clap::value_parser!(u64).range(100..))]
    milliseconds: u64,
    /// Threads of each proxy.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
    /// Figures whose names hold this; all without.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// The program of Envoy, for pairs of it beside ours; `AMBIENT_PEER_ENVOY` names it too.
    #[arg(long, value_name = "PROGRAM")]
    envoy: Option<PathBuf>,
    /// The program of Istio's ztunnel, for a pair of it; `AMBIENT_PEER_ZTUNNEL` names it too.
    #[arg(long, value_name = "PROGRAM")]
    ztunnel: Option<PathBuf>,
}

/// Runs the benchmark in namespaces of its own.
///
/// # Errors
///
/// When these cannot be made, a program cannot be run, or the output not be written.
pub(super) fn run(tunnel: &Tunnel, output: &mut impl Write) -> io::Result<()> {
    if pods::go_inside()?.is_none() {
        return Ok(());
    }
    let own = std::env::current_exe()?;
    let relay = own.with_file_name("ambient-proxy");
    if !relay.is_file() {
        let message = format!(
            "there is no `{}`: build it with `cargo build --release -p ambient-proxy`",
            relay.display()
        );
        return Err(io::Error::new(io::ErrorKind::NotFound, message));
    }
    let folder = std::env::temp_dir().join(format!("ambient-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let measured = measure(tunnel, &own, &relay, &folder, output);
    fs::remove_dir_all(&folder)?;
    measured
}

fn measure(
    tunnel: &Tunnel,
    own: &Path,
    relay: &Path,
    folder: &Path,
    output: &mut impl Write,
) -> io::Result<()> {
    let authority = Authority::new(AUTHORITY);
    fs::write(folder.join("ca-cert.pem"), authority.root())?;
    fs::write(folder.join("ca-key.pem"), authority.key())?;
    let setting = Setting {
        folder,
        authority: &authority,
        own,
        threads: tunnel.threads,
    };
    let named = |given: &Option<PathBuf>, variable| {
        let named = std::env::var_os(variable).map(PathBuf::from);
        given.clone().or(named)
    };
    let mut kinds = vec![Kind::Direct, Kind::Ours(relay.to_owned())];
    kinds.extend(named(&tunnel.ztunnel, "AMBIENT_PEER_ZTUNNEL").map(Kind::Ztunnel));
    let envoy = named(&tunnel.envoy, "AMBIENT_PEER_ENVOY");
    kinds.extend(envoy.clone().map(Kind::Envoy));
    kinds.extend(envoy.map(Kind::Sidecar));
    let variants = kinds
        .iter()
        .map(|kind| Variant::new(kind.clone(), &setting));
    let variants: Vec<Variant> = variants.collect::<io::Result<_>>()?;
    conditions(tunnel, &variants, output)?;
    let empty = variants
        .iter()
        .map(|v| (v.kind.name(), trial::held(v) / 2.0));
    let empty: Vec<(&str, f64)> = empty.collect();
    let mut disturbed = Vec::new();
    let cells = CELLS.into_iter();
    for cell in cells.filter(|cell| cell.name().contains(&tunnel.only)) {
        let mut trials: Vec<Vec<Trial>> = variants.iter().map(|_| Vec::new()).collect();
        for round in 0..tunnel.rounds {
            let mut order: Vec<_> = variants.iter().zip(&mut trials).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for (variant, trials) in order {
                let trial = trial::run(cell, variant, own, tunnel.milliseconds)?;
                disturbed.push(trial.foreign);
                trials.push(trial);
            }
        }
        show(cell, &variants, &trials, output)?;
    }
    if tunnel.only.is_empty() {
        starts::table(&kinds, &setting, tunnel.rounds, &empty, output)?;
    }
    foreign(&disturbed, output)
}

/// The name of the authority that signs all certificates.
const AUTHORITY: &str = "bench";

/// A cell with all variants: medians, and those of the ratios of each round to the others.
fn show(
    cell: Cell,
    variants: &[Variant],
    trials: &[Vec<Trial>],
    output: &mut impl Write,
) -> io::Result<()> {
    let mut table = Table::new(&[
        &cell.name(),
        "",
        "median",
        "least",
        "most",
        "of direct",
        "ours to it",
        "proxy cpu",
        "ours to it",
        "memory",
    ]);
    let at = |place: usize| trials.get(place).map_or(&[][..], Vec::as_slice);
    let (direct, ours) = (at(0), at(1));
    let ratio = |one: &[Trial], other: &[Trial], of: &dyn Fn(&Trial) -> f64| {
        let ratios = one
            .iter()
            .zip(other)
            .map(|(one, other)| of(one) / of(other));
        let [_, ratio, _] = trial::spread(ratios);
        // There is none where nothing is between them.
        if ratio.is_finite() {
            format!("{ratio:.2}")
        } else {
            "-".to_owned()
        }
    };
    for &unit in cell.units {
        for (variant, trials) in variants.iter().zip(trials) {
            let values = trial::spread(trials.iter().map(|trial| unit.value(trial)));
            let [least, median, most] = values.map(|value| unit.text(value));
            let value = |trial: &Trial| unit.value(trial);
            let [_, cpu, _] = trial::spread(trials.iter().map(|trial| unit.cpu(trial)));
            let [_, memory, _] = trial::spread(trials.iter().map(|trial| trial.memory));
            let (cpu, memory) = if variant.proxies.is_empty() {
                ("-".to_owned(), "-".to_owned())
            } else {
                (unit.cpu_text(cpu), format!("{:.1} MB", memory / 1e6))
            };
            table.push(&[
                variant.kind.name(),
                unit.name(),
                &median,
                &least,
                &most,
                &ratio(trials, direct, &value),
                &ratio(ours, trials, &value),
                &cpu,
                &ratio(ours, trials, &|trial| unit.cpu(trial)),
                &memory,
            ]);
        }
    }
    writeln!(output, "{table}")?;
    output.flush()
}

/// Under what all of it was measured.
fn conditions(tunnel: &Tunnel, variants: &[Variant], output: &mut impl Write) -> io::Result<()> {
    let read = |path: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let congestion = variants.first().map(|variant| {
        let script = "cat /proc/sys/net/ipv4/tcp_congestion_control";
        variant.client.asks(script)
    });
    let congestion = congestion.transpose()?.unwrap_or_default();
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    if congestion != "cubic" {
        let note = "`sysctl net.ipv4.tcp_allowed_congestion_control` has to name cubic as well";
        writeln!(output, "warning: pods should have cubic, and {note}")?;
    }
    writeln!(
        output,
        "{cores} cores, kernel {kernel}, congestion control {congestion}, load before {load}\n\
         {} rounds of {} ms, {} threads a proxy, {build} build of ours, access log on\n\
         two pods on a cable, no nodes between; client and server on the same machine\n",
        tunnel.rounds, tunnel.milliseconds, tunnel.threads
    )
}

/// What others took of the machine: figures of a machine that is shared are not worth as much.
fn foreign(disturbed: &[f64], output: &mut impl Write) -> io::Result<()> {
    let many = disturbed.iter().filter(|share| **share > 0.15).count();
    let [_, median, most] = trial::spread(disturbed.iter().copied());
    writeln!(
        output,
        "others took more than 0.15 cores in {many} of {} trials (median {median:.2}, most {most:.2})",
        disturbed.len()
    )
}

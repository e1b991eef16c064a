//! One run of one variant, and what is read of it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum as _;

use super::load::{Figures, Mode};
use super::pods::Process;
use super::variants::{self, Variant};

/// What is asked for, with how many connections, and what counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    mode: Mode,
    connections: u32,
    pub(super) units: &'static [Unit],
}

/// What counts of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    P50,
    P90,
    P99,
    PerSecond,
    Gigabits,
    Megabytes,
}

const fn cell(mode: Mode, connections: u32, units: &'static [Unit]) -> Cell {
    Cell {
        mode,
        connections,
        units,
    }
}

const LATENCY: &[Unit] = &[Unit::P50, Unit::P90, Unit::P99];
const RATE: &[Unit] = &[Unit::PerSecond];

/// All that is asked.
pub(super) const CELLS: [Cell; 12] = [
    cell(Mode::Paced, 1, LATENCY),
    cell(Mode::Paced, 16, LATENCY),
    cell(Mode::Paced, 64, LATENCY),
    cell(Mode::Fast, 1, RATE),
    cell(Mode::Fast, 16, RATE),
    cell(Mode::Fast, 64, RATE),
    cell(Mode::Connect, 1, RATE),
    cell(Mode::Connect, 16, RATE),
    cell(Mode::Connect, 64, RATE),
    cell(Mode::Bulk, 1, &[Unit::Gigabits]),
    cell(Mode::Bulk, 8, &[Unit::Gigabits]),
    cell(Mode::Hold, 1000, &[Unit::Megabytes]),
];

/// What one run has shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    figures: Figures,
    /// Seconds of processors that the proxies took.
    cpu: f64,
    /// Octets that the proxies hold together, at the end.
    pub(super) memory: f64,
    /// Processors that neither the proxies nor the applications took, on average.
    pub(super) foreign: f64,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P99 => "p99",
            Self::PerSecond => "a second",
            Self::Gigabits => "Gbit/s",
            Self::Megabytes => "memory",
        }
    }

    pub(super) fn value(self, trial: &Trial) -> f64 {
        let Figures {
            answered,
            octets,
            took,
            p50,
            p90,
            p99,
        } = trial.figures;
        match self {
            Self::P50 => micros(p50),
            Self::P90 => micros(p90),
            Self::P99 => micros(p99),
            Self::PerSecond => number(answered) / took.as_secs_f64(),
            Self::Gigabits => number(octets) * 8.0 / 1e9 / took.as_secs_f64(),
            Self::Megabytes => trial.memory / 1e6,
        }
    }

    pub(super) fn text(self, value: f64) -> String {
        match self {
            Self::P50 | Self::P90 | Self::P99 => format!("{value:.0} µs"),
            Self::PerSecond => format!("{value:.0}"),
            Self::Gigabits => format!("{value:.2}"),
            Self::Megabytes => format!("{value:.1} MB"),
        }
    }

    /// What the proxies took for one of what counts: microseconds for a request or a connection,
    /// seconds for a gigabyte; all of it where nothing counts.
    pub(super) fn cpu(self, trial: &Trial) -> f64 {
        match self {
            Self::Gigabits => trial.cpu * 1e9 / number(trial.figures.octets),
            Self::Megabytes => trial.cpu,
            _ => trial.cpu * 1e6 / number(trial.figures.answered),
        }
    }

    pub(super) fn cpu_text(self, cpu: f64) -> String {
        match self {
            Self::Gigabits => format!("{cpu:.2} s/GB"),
            Self::Megabytes => format!("{cpu:.2} s"),
            _ => format!("{cpu:.0} µs"),
        }
    }
}

impl Cell {
    /// As `paced, 16 connections`.
    pub(super) fn name(self) -> String {
        let mode = self.mode.to_possible_value();
        let mode = mode.as_ref().map_or("", |value| value.get_name());
        format!("{mode}, {} connections", self.connections)
    }
}

/// Runs a cell once with a variant.
///
/// # Errors
///
/// When a program ends early.
pub(super) fn run(
    cell: Cell,
    variant: &Variant,
    own: &Path,
    milliseconds: u64,
) -> io::Result<Trial> {
    let mode = cell.mode.to_possible_value();
    let mode = mode.as_ref().map_or("", |value| value.get_name());
    let mut command = variant.ask(own);
    command.arg(variants::server()?.to_string()).arg(mode);
    command.args([cell.connections.to_string(), milliseconds.to_string()]);
    let mut client = Process::start(&mut command)?;
    client.line()?;
    let before = Moment::now(variant);
    let line = client.line()?;
    let after = Moment::now(variant);
    let figures = Figures::read(&line);
    let figures = figures.ok_or_else(|| io::Error::other(format!("`{line}` is no figure")))?;
    let took = figures.took.as_secs_f64();
    Ok(Trial {
        figures,
        cpu: after.proxies - before.proxies,
        memory: held(variant),
        foreign: ((after.machine - before.machine - (after.ours - before.ours)) / took).max(0.0),
    })
}

/// What processors were taken until some moment, in seconds.
struct Moment {
    proxies: f64,
    /// All processes of the benchmark.
    ours: f64,
    machine: f64,
}

impl Moment {
    fn now(variant: &Variant) -> Self {
        let proxies = variant.proxies.iter().map(|proxy| processor(proxy.id()));
        Self {
            proxies: proxies.sum(),
            ours: family(std::process::id()),
            machine: machine(),
        }
    }
}

/// What a process and all that it started took.
fn family(id: u32) -> f64 {
    let mut all = processor(id);
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten();
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|child| child.parse().ok());
        all += children.map(family).sum::<f64>();
    }
    all
}

/// What a process took, by its scheduler's nanoseconds.
fn processor(id: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten();
    let taken = threads.flatten().map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let first = text
            .split(' ')
            .next()
            .and_then(|number| number.parse().ok());
        first.map_or(0.0, number)
    });
    taken.sum::<f64>() / 1e9
}

/// What all processes of the machine took, which the kernel counts in hundredths of a second
/// (proc(5), `/proc/stat`): all but what it was idle, waited, or was not given.
fn machine() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    let numbers = first.split_whitespace().skip(1);
    let numbers: Vec<f64> = numbers.filter_map(|n| n.parse().ok()).collect();
    // user, nice, system, idle, iowait, irq, softirq
    let taken = [0, 1, 2, 5, 6]
        .iter()
        .filter_map(|place| numbers.get(*place));
    taken.sum::<f64>() / 100.0
}

/// What the proxies of a variant hold together, in octets.
pub(super) fn held(variant: &Variant) -> f64 {
    let held = variant.proxies.iter().map(|proxy| memory(proxy.id()));
    held.sum()
}

/// What a process holds, in octets.
fn memory(id: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kibibytes.map_or(0.0, number) * 1024.0
}

/// The least, the middle and the most; the upper one of two in the middle.
pub(super) fn spread(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    [
        at(0),
        at(values.len() / 2),
        at(values.len().saturating_sub(1)),
    ]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[expect(clippy::cast_precision_loss, reason = "figures are not exact")]
fn number(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_in_their_units() {
        let trial = Trial {
            figures: Figures {
                answered: 5000,
                octets: 2_500_000_000,
                took: Duration::from_secs(2),
                p50: Duration::from_micros(120),
                p90: Duration::from_micros(300),
                p99: Duration::from_micros(450),
            },
            cpu: 0.5,
            memory: 12e6,
            foreign: 0.0,
        };
        let shown = |unit: Unit| {
            let (value, cpu) = (unit.value(&trial), unit.cpu(&trial));
            format!(
                "{}: {}, {}",
                unit.name(),
                unit.text(value),
                unit.cpu_text(cpu)
            )
        };
        let units = [
            Unit::P50,
            Unit::P90,
            Unit::P99,
            Unit::PerSecond,
            Unit::Gigabits,
            Unit::Megabytes,
        ];
        assert_eq!(cell(Mode::Fast, 16, RATE).name(), "fast, 16 connections");
        insta::assert_snapshot!(units.map(shown).join("\n"), @r"
        p50: 120 µs, 100 µs
        p90: 300 µs, 100 µs
        p99: 450 µs, 100 µs
        a second: 2500, 100 µs
        Gbit/s: 10.00, 0.20 s/GB
        memory: 12.0 MB, 0.50 s
        ");
    }

    #[test]
    fn the_middle_of_figures_is_one_of_them() {
        let text = |values: &[f64]| format!("{:?}", spread(values.iter().copied()));
        assert_eq!(text(&[3.0, 1.0, 2.0]), "[1.0, 2.0, 3.0]");
        assert_eq!(text(&[4.0, 1.0, 3.0, 2.0]), "[1.0, 3.0, 4.0]");
        assert!(spread([].into_iter())[1].is_nan());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_children_take_is_part_of_what_a_process_takes() {
        let before = family(std::process::id());
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        while processor(child.id()) < 0.2 {
            std::thread::yield_now();
        }
        let taken = family(std::process::id()) - before;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(taken >= 0.2, "{taken}");
        assert!(machine() > taken);
        assert!(memory(std::process::id()) > 1e6);
    }
}

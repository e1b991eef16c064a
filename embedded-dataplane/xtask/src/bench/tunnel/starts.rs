//! How long a proxy takes from its start until it serves, and what it holds before anybody comes.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::pods::{Pod, Process};
use super::trial::spread;
use super::variants::{End, Kind, Setting};
use crate::bench::table::Table;

/// The longest that a proxy may take.
const LONG: Duration = Duration::from_secs(20);
/// How often its log is looked at.
const PAUSE: Duration = Duration::from_micros(100);

/// Starts each kind of proxy in turn, and shows how long that took beside what those held that were
/// there before (by name, in octets, the average of both ends of a tunnel).
pub(super) fn table(
    kinds: &[Kind],
    setting: &Setting<'_>,
    rounds: u32,
    empty: &[(&str, f64)],
    output: &mut impl Write,
) -> io::Result<()> {
    let pod = Pod::new()?;
    pod.capture()?;
    let mut took: Vec<Vec<f64>> = kinds.iter().map(|_| Vec::new()).collect();
    let authorities = kinds.iter().map(|kind| kind.authority(setting, &pod));
    let _authorities: Vec<Option<Process>> = authorities.collect::<io::Result<_>>()?;
    for _ in 0..rounds {
        for (kind, took) in kinds.iter().zip(&mut took) {
            took.extend(once(kind, setting, &pod)?.map(|time| time.as_secs_f64()));
        }
    }
    let mut table = Table::new(&["start", "median", "least", "most", "one holds"]);
    for (kind, took) in kinds.iter().zip(took).filter(|(_, took)| !took.is_empty()) {
        let [least, median, most] = spread(took.into_iter());
        let text = |seconds: f64| format!("{:.1} ms", seconds * 1e3);
        let held = empty.iter().find(|(name, _)| *name == kind.name());
        let held = held.map_or_else(String::new, |(_, held)| format!("{:.1} MB", held / 1e6));
        table.push(&[kind.name(), &text(median), &text(least), &text(most), &held]);
    }
    writeln!(output, "{table}")
}

/// Starts a proxy, and ends it once it serves.
#[expect(
    clippy::disallowed_methods,
    reason = "another process tells of no event"
)]
fn once(kind: &Kind, setting: &Setting<'_>, pod: &Pod) -> io::Result<Option<Duration>> {
    let Some(mut command) = kind.command(setting, pod, End::Client)? else {
        return Ok(None);
    };
    let log = setting.folder.join("start.log");
    let output = fs::File::create(&log)?;
    command.stderr(output.try_clone()?).stdout(output);
    let start = Instant::now();
    let _process = Process::start_quietly(&mut command)?;
    while !has(&log, kind.ready()) {
        if start.elapsed() > LONG {
            let message = format!("`{}` does not start in time", kind.name());
            return Err(io::Error::other(message));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(Some(start.elapsed()))
}

fn has(log: &Path, words: &str) -> bool {
    fs::read_to_string(log).is_ok_and(|log| log.contains(words))
}

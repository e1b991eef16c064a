//! Wall time, processor time and memory of a piece of work.
//!
//! Processor time and memory come from `/proc`, so they are known on Linux only.

use std::fs;
use std::time::{Duration, Instant};

/// Medians over several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measurement {
    /// Time that passed.
    pub(super) wall: Duration,
    /// Processor time of all threads.
    pub(super) cpu: Option<Duration>,
    /// The most memory that the process held at once, in bytes. Includes what was held before the
    /// run, such as its input.
    pub(super) peak: Option<usize>,
}

/// Does the work `runs` times; also returns what the last run made.
/// A `runs` of 0 counts as 1.
pub(super) fn repeat<T>(runs: u32, mut work: impl FnMut() -> T) -> (T, Measurement) {
    let (mut result, first) = once(&mut work);
    let mut all = vec![first];
    for _ in 1..runs {
        // What the run before made must not count as memory of this one.
        drop(result);
        let (made, measured) = once(&mut work);
        result = made;
        all.push(measured);
    }
    let wall = median(all.iter().map(|m| m.wall)).unwrap_or_default();
    let cpu = median(all.iter().filter_map(|m| m.cpu));
    let peak = median(all.iter().filter_map(|m| m.peak));
    (result, Measurement { wall, cpu, peak })
}

/// Does the work once.
pub(super) fn once<T>(work: &mut impl FnMut() -> T) -> (T, Measurement) {
    reset_peak();
    let cpu = processor_time();
    let start = Instant::now();
    let result = work();
    let wall = start.elapsed();
    let cpu = processor_time()
        .zip(cpu)
        .map(|(after, before)| after.saturating_sub(before));
    let peak = peak_memory();
    (result, Measurement { wall, cpu, peak })
}

/// The middle value; the upper one of two.
pub(super) fn median<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<_> = values.collect();
    values.sort();
    let middle = values.len() / 2;
    values.into_iter().nth(middle)
}

/// Processor time of all threads that live, in the scheduler's nanoseconds (`getrusage` and
/// `/proc/self/stat` count ticks of ten milliseconds).
fn processor_time() -> Option<Duration> {
    let mut total = 0;
    for thread in fs::read_dir("/proc/self/task").ok()? {
        // A thread may end between the listing and the reading.
        let times = fs::read_to_string(thread.ok()?.path().join("schedstat")).unwrap_or_default();
        let on_processor = times.split(' ').next().and_then(|t| t.parse().ok());
        total += on_processor.unwrap_or(0_u64);
    }
    Some(Duration::from_nanos(total))
}

/// Memory that the process holds now, in bytes.
pub(super) fn memory() -> Option<usize> {
    status("VmRSS:")
}

fn peak_memory() -> Option<usize> {
    status("VmHWM:")
}

fn status(key: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix(key))?;
    let kibibytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Starts the peak anew. Where that is not allowed it stays the peak of the whole process, which is
/// an upper bound.
fn reset_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_value() {
        assert_eq!(median([3, 1, 2].into_iter()), Some(2));
        assert_eq!(median([4, 1, 3, 2].into_iter()), Some(3));
        assert_eq!(median(std::iter::empty::<u8>()), None);
    }

    #[test]
    fn every_run_is_done_and_the_last_result_returned() {
        let mut runs = 0;
        let (last, _) = repeat(3, || {
            runs += 1;
            runs
        });
        assert_eq!((runs, last), (3, 3));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_costs_time_and_memory() {
        const SIZE: usize = 64 << 20;
        let (held, measured) = repeat(1, || vec![1_u8; SIZE]);
        assert_eq!(held.len(), SIZE);
        let moment = Duration::from_micros(100);
        assert!(measured.wall > moment, "{measured:?}");
        assert!(measured.cpu.unwrap() > moment, "{measured:?}");
        assert!(measured.peak.unwrap() > SIZE, "{measured:?}");
    }
}

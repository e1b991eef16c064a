//! What the process takes from its machine, read when it is asked for. The names are those that
//! every client library of Prometheus has (Prometheus, "Writing client libraries").

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::gauge;

/// Reads `/proc`; where there is none it tells nothing.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        if let Some(open) = open_files() {
            let help = "Number of open file descriptors.";
            gauge(&mut encoder, "process_open_fds", help, open)?;
        }
        if let Some(most) = most_files() {
            let help = "Maximum number of file descriptors.";
            gauge(&mut encoder, "process_max_fds", help, most)?;
        }
        if let Some(resident) = resident_memory() {
            let help = "Resident memory size in bytes.";
            gauge(
                &mut encoder,
                "process_resident_memory_bytes",
                help,
                resident,
            )?;
        }
        Ok(())
    }
}

/// How many files are open, without the one that counts them.
fn open_files() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(open.saturating_sub(1))
}

fn most_files() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

/// In octets; the kernel tells it in units of 1024 (proc(5)).
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

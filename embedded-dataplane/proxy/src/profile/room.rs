//! Whether there is room for what the profiler keeps: one that is killed for it would take the relay
//! along.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the limits of the own control group are, in a container (cgroup v2).
pub(super) const LIMITS: &str = "/sys/fs/cgroup";

/// What it takes at its first profile, and keeps: room for 16,384 stacks of 128 places, twice.
const TAKEN: u64 = 200 << 20;

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// # Errors
///
/// When there is none, as far as is known.
pub(super) fn look(limits: &Path) -> Result<(), String> {
    match left(limits) {
        Some(left) if left < TAKEN && !IS_TAKEN.load(Ordering::Relaxed) => {
            let [taken, left] = [TAKEN, left].map(|octets| octets >> 20);
            Err(format!(
                "it takes {taken} MiB, and {left} are left of the container's memory"
            ))
        }
        _ => Ok(()),
    }
}

/// It is taken, and is not asked for again.
pub(super) fn take() {
    IS_TAKEN.store(true, Ordering::Relaxed);
}

/// What may still be used; nothing where there is no limit, or none that can be read.
fn left(limits: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(limits.join(name)).ok();
    let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
    let most = number("memory.max")?;
    let used = number("memory.current")?;
    let details = read("memory.stat")?;
    // Copies of files, which are let go of before anybody is killed.
    let mut copies = details
        .lines()
        .filter_map(|line| line.strip_prefix("inactive_file "));
    let copies = copies.find_map(|number| number.parse::<u64>().ok());
    Some(most.saturating_sub(used.saturating_sub(copies.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_that_would_have_the_process_killed_is_not_taken() {
        let folder = tempfile::tempdir().unwrap();
        let with = |most: &str, used: u64, copies: u64| {
            let path = |name: &str| folder.path().join(name);
            fs::write(path("memory.max"), format!("{most}\n")).unwrap();
            fs::write(path("memory.current"), format!("{}\n", used << 20)).unwrap();
            let details = format!("anon 5\ninactive_file {}\nactive_file 7\n", copies << 20);
            fs::write(path("memory.stat"), details).unwrap();
            look(folder.path())
        };
        let most = (256_u64 << 20).to_string();
        assert_eq!(look(folder.path()), Ok(()));
        assert_eq!(with("max", 5000, 0), Ok(()));
        assert_eq!(with(&most, 56, 0), Ok(()));
        assert_eq!(
            with(&most, 57, 0),
            Err("it takes 200 MiB, and 199 are left of the container's memory".to_owned())
        );
        assert_eq!(with(&most, 100, 44), Ok(()));
    }
}

//! File descriptors, which connections need.

/// Makes room for some open files, as far as the system lets this process, and tells how many it may
/// have open.
pub fn descriptors(wanted: usize) -> usize {
    limit::raise(wanted)
}

/// How many files this process may have open at this moment.
pub fn granted() -> usize {
    limit::granted()
}

#[cfg(unix)]
mod limit {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    pub(super) fn granted() -> usize {
        let limit = getrlimit(Resource::RLIMIT_NOFILE);
        limit.map_or(usize::MAX, |(now, _)| {
            usize::try_from(now).unwrap_or(usize::MAX)
        })
    }

    pub(super) fn raise(wanted: usize) -> usize {
        let Ok((now, most)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return wanted;
        };
        let aim = u64::try_from(wanted).unwrap_or(u64::MAX).min(most);
        let granted = if now < aim && setrlimit(Resource::RLIMIT_NOFILE, aim, most).is_ok() {
            aim
        } else {
            now
        };
        usize::try_from(granted).unwrap_or(wanted).min(wanted)
    }
}

/// Windows has no such limit.
#[cfg(not(unix))]
mod limit {
    pub(super) fn granted() -> usize {
        usize::MAX
    }

    pub(super) fn raise(wanted: usize) -> usize {
        wanted
    }
}

//! Whether a process is ready: when everything is that it waits for, each by its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a process waits for. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Readiness {
    shut: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

/// Something that a process waits for, shut at first. One that is dropped is shut for good: whoever
/// had to open it is gone.
#[derive(Debug)]
pub struct Gate {
    readiness: Readiness,
    name: &'static str,
    is_open: bool,
}

impl Readiness {
    /// Adds something to wait for. All of the same name are waited for.
    pub fn gate(&self, name: &'static str) -> Gate {
        *self.shut().entry(name).or_default() += 1;
        Gate {
            readiness: self.clone(),
            name,
            is_open: false,
        }
    }

    /// What is waited for, sorted.
    pub fn missing(&self) -> Vec<&'static str> {
        self.shut().keys().copied().collect()
    }

    fn shut(&self) -> MutexGuard<'_, BTreeMap<&'static str, usize>> {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gate {
    /// It need not be waited for any more.
    pub fn open(&mut self) {
        if !self.is_open {
            self.is_open = true;
            let mut shut = self.readiness.shut();
            if let Some(count) = shut.get_mut(self.name) {
                *count -= 1;
                if *count == 0 {
                    shut.remove(self.name);
                }
            }
        }
    }

    /// It is to be waited for again.
    pub fn shut(&mut self) {
        if self.is_open {
            self.is_open = false;
            *self.readiness.shut().entry(self.name).or_default() += 1;
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_all_gates_are_open() {
        let readiness = Readiness::default();
        assert!(readiness.missing().is_empty());
        let mut proxy = readiness.gate("proxy");
        let mut first = readiness.gate("listener");
        let mut second = readiness.gate("listener");
        assert_eq!(readiness.missing(), ["listener", "proxy"]);
        proxy.open();
        proxy.open();
        first.open();
        assert_eq!(readiness.missing(), ["listener"]);
        second.open();
        assert!(readiness.missing().is_empty());
        first.shut();
        first.shut();
        assert_eq!(readiness.missing(), ["listener"]);
        first.open();
        assert!(readiness.missing().is_empty());
    }

    #[test]
    fn a_gate_that_is_dropped_is_shut_for_good() {
        let readiness = Readiness::default();
        let mut gate = readiness.gate("listener");
        gate.open();
        drop(gate);
        assert_eq!(readiness.missing(), ["listener"]);
    }
}

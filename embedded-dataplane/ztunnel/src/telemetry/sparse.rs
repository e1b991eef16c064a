//! Lines that are few, however often there is a reason for one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets a few lines through each second, and counts the others.
#[derive(Debug)]
pub(super) struct Sparse {
    most: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    lines: u32,
    untold: u64,
}

impl Sparse {
    pub(super) fn new(most: u32) -> Self {
        let state = State {
            begun: Instant::now(),
            lines: 0,
            untold: 0,
        };
        Self {
            most,
            state: Mutex::new(state),
        }
    }

    /// Whether there may be a line; if so, how many there were not since the last.
    pub(super) fn take(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.begun.elapsed() >= Duration::from_secs(1) {
            state.begun = Instant::now();
            state.lines = 0;
        }
        if state.lines >= self.most {
            state.untold += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_few_lines_a_second_and_the_next_says_how_many_there_were() {
        let sparse = Sparse::new(3);
        let mut told = Vec::new();
        for _ in 0..4 {
            let lines = (0..1000).filter_map(|_| sparse.take());
            told.push(lines.collect::<Vec<_>>());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let later = vec![997, 0, 0];
        assert_eq!(told, [vec![0; 3], later.clone(), later.clone(), later]);
    }
}

//! Probes of many addresses, each at its own pace.

use std::sync::Arc;
use std::time::Duration;

use ambient_hbone::descriptors;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::probe::{self, Address, Options, Report};

/// Probes at a time, at most: each has one connection.
const AT_ONCE: usize = 1000;
/// Descriptors that are needed for other things than probes.
const OTHERS: usize = 32;
/// Reports that wait to be taken, at most.
const WAITING: usize = 64;

/// How often each address is probed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From the beginning of a probe to that of the next, unless it takes longer.
    pub(super) interval: Duration,
    /// How often; `None` is for ever.
    pub(super) count: Option<u32>,
}

/// What a report comes with: the place of its address.
pub(super) type Placed = (usize, Report);

/// Probes addresses, and hands over each report as it comes. Ends when all are done, or with the
/// first error of whoever takes the reports.
pub(super) async fn probe<E>(
    addresses: &[Address],
    options: &Arc<Options>,
    pace: Pace,
    mut take: impl FnMut(Placed) -> Result<(), E>,
) -> Result<(), E> {
    let room = descriptors(AT_ONCE + OTHERS).saturating_sub(OTHERS).max(1);
    let permits = Arc::new(Semaphore::new(room));
    let (sender, mut reports) = mpsc::channel(WAITING);
    // Its tasks end with it.
    let mut tasks = JoinSet::new();
    for (place, address) in addresses.iter().cloned().enumerate() {
        let options = Arc::clone(options);
        let permits = Arc::clone(&permits);
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut pace_of_its_own = interval(pace.interval);
            pace_of_its_own.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut done = 0;
            while pace.count.is_none_or(|count| done < count) {
                pace_of_its_own.tick().await;
                // Nobody closes the semaphore.
                let permit = permits.acquire().await;
                let report = probe::run(address.clone(), &options).await;
                drop(permit);
                if sender.send((place, report)).await.is_err() {
                    return;
                }
                done += 1;
            }
        });
    }
    drop(sender);
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => take(report)?,
                None => break,
            },
            Some(ended) = tasks.join_next() => pass_on_panic(ended),
        }
    }
    while let Some(ended) = tasks.join_next().await {
        pass_on_panic(ended);
    }
    Ok(())
}

fn pass_on_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

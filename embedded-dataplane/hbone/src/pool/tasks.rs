//! Tasks that end with their owner.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::task::AbortHandle;

/// How many tasks are kept before those that ended are looked for.
const FEW: usize = 16;

/// Tasks that are aborted when this is dropped.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    handles: Vec<AbortHandle>,
    /// As many as this are worth looking through.
    many: usize,
}

impl Tasks {
    /// Starts a task.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // Not under the lock: a runtime that shuts down drops the task at once, and what that drops
        // may want to start another.
        let handle = tokio::spawn(task).abort_handle();
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.handles.len() >= running.many.max(FEW) {
            running.handles.retain(|handle| !handle.is_finished());
            running.many = running.handles.len() * 2;
        }
        running.handles.push(handle);
    }

    /// Forgets tasks that ended, whose memory is kept with their handles.
    pub(super) fn forget_ended(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.handles.retain(|handle| !handle.is_finished());
        running.handles.shrink_to(FEW);
        running.many = running.handles.len() * 2;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.running.lock().unwrap().handles.len()
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        let running = self.running.get_mut();
        for handle in &running.unwrap_or_else(PoisonError::into_inner).handles {
            handle.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn tasks_end_with_their_owner_and_are_not_kept_for_ever() {
        let tasks = Tasks::default();
        for _ in 0..1000 {
            tasks.spawn(async {});
            tokio::task::yield_now().await;
        }
        let kept = tasks.running.lock().unwrap().handles.len();
        assert!(kept <= FEW * 2, "{kept}");
        let held = Arc::new(());
        let holding = Arc::clone(&held);
        tasks.spawn(async move {
            std::future::pending::<()>().await;
            drop(holding);
        });
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&held), 2);
        drop(tasks);
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

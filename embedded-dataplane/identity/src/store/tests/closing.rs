//! A runtime that is closed while the store works.

use std::sync::mpsc;

use tokio::runtime::Builder;

use super::*;

/// A source that holds up the store, before it starts its first attempt, until the gate opens.
struct Gated {
    gate: Mutex<mpsc::Receiver<()>>,
    /// Told of when the store is held up, and gone when it has let go of the source.
    held: mpsc::Sender<()>,
}

impl Source for Gated {
    fn fetch<'a>(&'a self, _: &'a SpiffeId) -> Pending<'a, Result<Issued, FetchError>> {
        Box::pin(std::future::pending())
    }

    fn changed(&self) -> Pending<'_, ()> {
        self.held.send(()).unwrap();
        // It opens by being dropped.
        self.gate.lock().unwrap().recv().unwrap_err();
        Box::pin(std::future::pending())
    }
}

#[test]
fn an_attempt_that_a_closing_runtime_drops_at_once_does_not_hang_the_store() {
    let (closing, gate) = mpsc::channel();
    let (held, source) = mpsc::channel();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let store = {
        let _within = runtime.enter();
        let gate = Mutex::new(gate);
        let gated = Gated { gate, held };
        Store::start(gated, Trust::new([]), StoreOptions::default())
    };
    store.warm_up(&id("web")).unwrap();
    // The runtime takes no more tasks once it has dropped those that it has.
    runtime.spawn(async move {
        let _closing = closing;
        std::future::pending::<()>().await;
    });
    source.recv().unwrap();
    runtime.shutdown_background();
    drop(store);
    let ended = source.recv_timeout(10 * SECOND);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
}

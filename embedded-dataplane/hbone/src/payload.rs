//! Octets of a stream on their way out, of which is known when they left.
//!
//! Whoever resets a stream takes back what it still holds. The library does not tell when that is
//! nothing any more, but it drops what it has sent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

/// Octets that a stream holds.
#[derive(Debug)]
pub(crate) struct Payload {
    octets: Bytes,
    queue: Arc<Queue>,
}

/// What a stream holds, in pieces.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pieces: AtomicUsize,
    /// Somebody waits until there are none.
    is_awaited: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Payload {
    /// Octets of this stream, which may be none.
    pub(crate) fn new(octets: Bytes, queue: &Arc<Queue>) -> Self {
        queue.pieces.fetch_add(1, Ordering::SeqCst);
        Self {
            octets,
            queue: Arc::clone(queue),
        }
    }
}

impl Queue {
    /// Ready when the stream holds nothing.
    pub(crate) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.pieces.load(Ordering::SeqCst) == 0 {
            return Poll::Ready(());
        }
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        // INVARIANT: this store and the look at the count, and in `Payload::drop` the count and the
        // look at this, are in one order for everybody, so that one of both sees the other.
        self.is_awaited.store(true, Ordering::SeqCst);
        match self.pieces.load(Ordering::SeqCst) {
            0 => Poll::Ready(()),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        let queue = &self.queue;
        if queue.pieces.fetch_sub(1, Ordering::SeqCst) == 1
            && queue.is_awaited.swap(false, Ordering::SeqCst)
        {
            let waker = queue
                .waker
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        self.octets.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.octets.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.octets.advance(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_empty_when_all_that_went_in_is_gone() {
        let mut cx = Context::from_waker(Waker::noop());
        let queue = Arc::<Queue>::default();
        assert!(queue.poll_empty(&mut cx).is_ready());
        let first = Payload::new(Bytes::from_static(b"octets"), &queue);
        let last = Payload::new(Bytes::new(), &queue);
        assert_eq!((first.remaining(), last.remaining()), (6, 0));
        drop(first);
        assert!(queue.poll_empty(&mut cx).is_pending());
        drop(last);
        assert!(queue.poll_empty(&mut cx).is_ready());
    }
}

//! When everything that was started is at work.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;

use ambient_ztunnel::socket::{Accept, Accepted};
use tokio::sync::mpsc;

/// Waits until all that it started has begun.
#[derive(Debug)]
pub(crate) struct Begins {
    sign: Sign,
    signs: mpsc::Receiver<Infallible>,
}

/// Held by what has not begun yet.
type Sign = mpsc::Sender<Infallible>;

impl Begins {
    /// Nothing to wait for yet.
    pub(crate) fn new() -> Self {
        let (sign, signs) = mpsc::channel(1);
        Self { sign, signs }
    }

    /// A listener, which has begun when it was asked for a connection for the first time.
    pub(crate) fn of_listener<A: Accept>(&self, accept: A) -> impl Accept + use<A> {
        Begun {
            sign: Some(self.sign.clone()),
            accept,
        }
    }

    /// Waits until all of them have begun.
    pub(crate) async fn all(self) {
        let Self { sign, mut signs } = self;
        drop(sign);
        signs.recv().await;
    }
}

async fn begin<T>(mut sign: Option<Sign>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|cx| {
        let polled = work.as_mut().poll(cx);
        sign = None;
        polled
    })
    .await
}

struct Begun<A> {
    sign: Option<Sign>,
    accept: A,
}

impl<A: Accept> Accept for Begun<A> {
    async fn accept(&mut self) -> Accepted {
        begin(self.sign.take(), self.accept.accept()).await
    }

    fn left(&mut self) -> Option<Accepted> {
        self.accept.left()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn all_have_begun_when_each_was_looked_at() {
        struct Silent;
        impl Accept for Silent {
            async fn accept(&mut self) -> Accepted {
                pending().await
            }
        }
        let mut cx = Context::from_waker(Waker::noop());
        let begins = Begins::new();
        let mut listeners = [begins.of_listener(Silent), begins.of_listener(Silent)];
        let mut all = Box::pin(begins.all());
        for listener in &mut listeners {
            assert!(all.as_mut().poll(&mut cx).is_pending());
            assert!(pin!(listener.accept()).poll(&mut cx).is_pending());
        }
        assert_eq!(all.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}

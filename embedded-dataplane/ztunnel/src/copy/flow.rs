//! Both directions of a connection, step by step.
//!
//! ```text
//!            read            written
//! Open ──────────► Pending ──────────► Open              one direction
//!   │ finished
//!   └──► Ending ──────────► Finished                     both: over
//!
//! an end breaks off ──► what it sent goes on to the other ──► over
//! ```
//!
//! An end that breaks off takes nothing more, but what it said before is for the other all the same,
//! and then the other is told how it ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::{Instant, Sleep, sleep};

use super::end::{Ending, Side};
use super::{Broken, Endpoint, Meter};

/// Octets that one direction moves before others get their turn, and pieces.
const TURN: u64 = 1 << 20;
const PIECES: usize = 32;

/// What is under way.
#[derive(Debug)]
pub(super) struct Flow {
    from_client: Direction,
    from_server: Direction,
    first: Option<Side>,
    parting: Option<Box<Parting>>,
    /// How long what was sent may stand still after its sender broke off.
    linger: Duration,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    /// Octets that were read and are still to be written.
    pending: Bytes,
    /// Its source finished.
    is_ending: bool,
    /// Its destination was told.
    is_finished: bool,
    /// Octets that were written.
    passed: u64,
}

/// What one direction came to.
enum Step {
    /// It waits for its source.
    Reading,
    /// It waits for its destination, or finished: nobody reads from the source.
    Deaf,
    /// This side broke off.
    Broken(Side, Broken),
}

/// An end broke off.
#[derive(Debug)]
struct Parting {
    side: Side,
    broken: Broken,
    /// There is nothing more to be had of it.
    is_dry: bool,
    /// The other end sees by itself whether that moves.
    is_expected: bool,
    patience: Pin<Box<Sleep>>,
}

impl Flow {
    pub(super) fn new(linger: Duration) -> Self {
        Self {
            from_client: Direction::default(),
            from_server: Direction::default(),
            first: None,
            parting: None,
            linger,
        }
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Endpoint,
        server: &mut impl Endpoint,
        meter: &impl Meter,
    ) -> Poll<Ending> {
        if self.parting.is_none() {
            ready!(self.carry(cx, client, server, meter));
        }
        let Some(parting) = &mut self.parting else {
            return Poll::Ready(Ending::Finished(self.first.unwrap_or(Side::Client)));
        };
        match parting.side {
            side @ Side::Client => {
                ready!(parting.poll(
                    cx,
                    &mut self.from_client,
                    client,
                    server,
                    meter,
                    self.linger
                ));
                self.first = self.first.or(self.from_client.is_finished.then_some(side));
            }
            side @ Side::Server => {
                ready!(parting.poll(
                    cx,
                    &mut self.from_server,
                    server,
                    client,
                    meter,
                    self.linger
                ));
                self.first = self.first.or(self.from_server.is_finished.then_some(side));
            }
        }
        Poll::Ready(self.end(client, server))
    }

    /// Moves both directions until both have finished, or an end broke off.
    fn carry(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut impl Endpoint,
        server: &mut impl Endpoint,
        meter: &impl Meter,
    ) -> Poll<()> {
        let up = (self.from_client).poll(cx, Side::Client, client, server, meter);
        let down = (self.from_server).poll(cx, Side::Server, server, client, meter);
        for (direction, side) in [
            (&self.from_client, Side::Client),
            (&self.from_server, Side::Server),
        ] {
            if direction.is_finished {
                self.first.get_or_insert(side);
            }
        }
        let (side, broken, is_dry) = match (up, down) {
            (Step::Broken(side, broken), _) => (side, broken, side == Side::Client),
            (_, Step::Broken(side, broken)) => (side, broken, side == Side::Server),
            (up, down) => {
                let heard = (listen(&up, Side::Client, client, cx))
                    .or_else(|| listen(&down, Side::Server, server, cx));
                let Some((side, broken)) = heard else {
                    let is_over = self.from_client.is_finished && self.from_server.is_finished;
                    return if is_over {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    };
                };
                (side, broken, false)
            }
        };
        self.parting = Some(Box::new(Parting {
            side,
            broken,
            is_dry,
            is_expected: false,
            patience: Box::pin(sleep(self.linger)),
        }));
        Poll::Ready(())
    }

    /// Tells both ends what they were not told yet.
    fn end(&mut self, client: &mut impl Endpoint, server: &mut impl Endpoint) -> Ending {
        let Some(parting) = self.parting.take() else {
            return Ending::Finished(self.first.unwrap_or(Side::Client));
        };
        let side = parting.side;
        let from = match side {
            Side::Client => &self.from_client,
            Side::Server => &self.from_server,
        };
        // Whoever said all that it had, and takes no more, has finished.
        if parting.broken == Broken::Done && from.is_finished {
            return Ending::Finished(self.first.unwrap_or(side));
        }
        client.reset();
        server.reset();
        match parting.broken {
            Broken::Reset | Broken::Done => Ending::Reset(side),
            Broken::Failed(detail) => Ending::Failed { at: side, detail },
        }
    }
}

impl Parting {
    /// Ready when what this end sent has reached the other, or does not get there.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        direction: &mut Direction,
        from: &mut impl Endpoint,
        to: &mut impl Endpoint,
        meter: &impl Meter,
        linger: Duration,
    ) -> Poll<()> {
        while !self.is_dry {
            let before = direction.passed;
            let step = direction.poll(cx, self.side, from, to, meter);
            if direction.passed > before {
                self.patience.as_mut().reset(Instant::now() + linger);
            }
            match step {
                Step::Broken(side, _) if side == self.side => self.is_dry = true,
                Step::Broken(..) => return Poll::Ready(()),
                Step::Deaf if direction.is_finished => self.is_dry = true,
                Step::Reading | Step::Deaf => return self.patience.as_mut().poll(cx),
            }
        }
        // Much may have been written that whoever reads slowly has still to take.
        self.is_expected = self.is_expected || to.expect(linger);
        match to.poll_sent(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending if self.is_expected => Poll::Pending,
            Poll::Pending => self.patience.as_mut().poll(cx),
        }
    }
}

/// Whether an end that nobody reads from broke off.
fn listen(
    step: &Step,
    side: Side,
    end: &mut impl Endpoint,
    cx: &mut Context<'_>,
) -> Option<(Side, Broken)> {
    match step {
        Step::Deaf => match end.poll_broken(cx) {
            Poll::Ready(broken) => Some((side, broken)),
            Poll::Pending => None,
        },
        Step::Reading | Step::Broken(..) => None,
    }
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
        from: &mut impl Endpoint,
        to: &mut impl Endpoint,
        meter: &impl Meter,
    ) -> Step {
        if self.is_finished {
            return Step::Deaf;
        }
        let turn = self.passed + TURN;
        for _ in 0..PIECES {
            if self.passed >= turn {
                break;
            }
            if self.is_ending {
                return match to.poll_finish(cx) {
                    Poll::Ready(Ok(())) => {
                        self.is_finished = true;
                        Step::Deaf
                    }
                    Poll::Ready(Err(broken)) => Step::Broken(side.other(), broken),
                    Poll::Pending => Step::Deaf,
                };
            }
            if !self.pending.is_empty() {
                let before = self.pending.remaining();
                let written = to.poll_write(cx, &mut self.pending);
                let passed = (before - self.pending.remaining()) as u64;
                if passed > 0 {
                    self.passed += passed;
                    meter.passed(side, passed);
                }
                match written {
                    Poll::Ready(Ok(())) => self.pending = Bytes::new(),
                    Poll::Ready(Err(broken)) => return Step::Broken(side.other(), broken),
                    Poll::Pending => return Step::Deaf,
                }
            }
            match from.poll_read(cx) {
                Poll::Ready(Ok(Some(octets))) => self.pending = octets,
                Poll::Ready(Ok(None)) => self.is_ending = true,
                Poll::Ready(Err(broken)) => return Step::Broken(side, broken),
                Poll::Pending => return Step::Reading,
            }
        }
        cx.waker().wake_by_ref();
        Step::Reading
    }
}

//! A network in memory: on a paused clock nothing takes time but what is meant to, however busy the
//! machine is.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use ambient_hbone::DialFault;
use ambient_testkit::{Player, Script};
use kubectl_ambient::probe::{Address, Dial};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};

/// Who is at an address.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Met {
    /// A peer.
    Peer,
    /// Nobody, and nothing answers.
    Nobody,
    /// Nobody, and RST answers.
    Reset,
    /// There is no way.
    NoWay,
}

/// A network in memory, with one name for all that are in it.
pub(crate) struct Memory {
    pub(crate) met: Vec<Met>,
    /// What the connections get in turns; the last is repeated.
    pub(crate) turns: Mutex<Vec<Script>>,
    /// How long it takes to connect.
    pub(crate) dial: Duration,
    /// How long what is sent to a peer is on its way, but for the first of it.
    pub(crate) delay: Duration,
}

impl Memory {
    pub(crate) fn new(met: Vec<Met>, script: impl Fn() -> Script) -> Self {
        Self::turns(met, vec![script()])
    }

    pub(crate) fn turns(met: Vec<Met>, mut turns: Vec<Script>) -> Self {
        turns.reverse();
        let turns = Mutex::new(turns);
        Self {
            met,
            turns,
            dial: Duration::ZERO,
            delay: Duration::ZERO,
        }
    }
}

impl Dial for Memory {
    type Stream = DuplexStream;

    async fn resolve(&self, _: &Address) -> io::Result<Vec<SocketAddr>> {
        if self.met.is_empty() {
            std::future::pending::<()>().await;
        }
        let address = |place| SocketAddr::from(([10, 0, 0, place], 80));
        Ok((1..).take(self.met.len()).map(address).collect())
    }

    async fn dial(&self, to: SocketAddr) -> Result<DuplexStream, DialFault> {
        let address = to.ip().to_string();
        let place = address
            .rsplit('.')
            .next()
            .unwrap()
            .parse::<usize>()
            .unwrap();
        match self.met[place - 1] {
            Met::Nobody => std::future::pending().await,
            Met::Reset => Err(DialFault::Refused),
            Met::NoWay => Err(DialFault::Unreachable(
                io::ErrorKind::NetworkUnreachable.into(),
            )),
            Met::Peer => {
                let script = {
                    let mut turns = self.turns.lock().unwrap();
                    let last = turns.last().cloned().unwrap();
                    if turns.len() > 1 {
                        turns.pop();
                    }
                    last
                };
                tokio::time::sleep(self.dial).await;
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                let (reader, writer) = tokio::io::split(theirs);
                let (delayed, way) = tokio::io::simplex(64 << 10);
                let stream = tokio::io::join(delayed, writer);
                let delay = delay(reader, way, self.delay);
                tokio::spawn(async move {
                    tokio::select! {
                        () = Player::new(script).play(stream) => {}
                        () = async { delay.await; std::future::pending().await } => {}
                    }
                });
                Ok(ours)
            }
        }
    }
}

async fn delay<R, W>(mut from: R, mut to: W, time: Duration)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut octets = [0; 4096];
    let mut is_first = true;
    while let Ok(count @ 1..) = from.read(&mut octets).await {
        if !is_first {
            tokio::time::sleep(time).await;
        }
        is_first = false;
        if to.write_all(&octets[..count]).await.is_err() {
            return;
        }
    }
}

//! How long a probe takes, on a clock that goes on when nothing else does.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use ambient_hbone::DialFault;
use ambient_testkit::{ClientPolicy, Player, Script, Secured, Tunnel};
use kubectl_ambient::probe::{Address, Cause, Dial, Options, Report, StepKind, run_through};
use rustls::CertificateError;
use tokio::io::DuplexStream;
use tokio::time::Instant;

use crate::mesh::{Mesh, http2, told};

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
    met: Vec<Met>,
    /// What the connections get in turns; the last is repeated.
    turns: Mutex<Vec<Script>>,
}

impl Memory {
    pub(crate) fn new(met: Vec<Met>, script: impl Fn() -> Script) -> Self {
        Self::turns(met, vec![script()])
    }

    fn turns(met: Vec<Met>, mut turns: Vec<Script>) -> Self {
        turns.reverse();
        let turns = Mutex::new(turns);
        Self { met, turns }
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
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                tokio::spawn(Player::new(script).play(theirs));
                Ok(ours)
            }
        }
    }
}

/// The probe, and how long it took by the clock.
async fn timed(way: &Memory, options: &Options) -> (Report, Duration) {
    let started = Instant::now();
    let report = run_through(way, "peer".parse().unwrap(), options).await;
    (report, started.elapsed())
}

const LIMIT: Duration = Duration::from_secs(2);

#[tokio::test(start_paused = true)]
async fn whatever_stalls_costs_the_time_of_its_step() {
    let mesh = Mesh::new();
    let options = Options {
        timeout: LIMIT,
        sizes: vec![9000; 100],
        ..mesh.with_target()
    };
    let peer = |turns| Memory::turns(vec![Met::Peer], turns);
    let silent = || Script::tls(&mesh.server, ClientPolicy::Required, Secured::Silent);
    let refused = CertificateError::UnknownIssuer;
    let refused = Script::tls(
        &mesh.server,
        ClientPolicy::Refused(refused),
        Secured::Silent,
    );
    let closing = Script::tls(&mesh.server, ClientPolicy::Required, Secured::Close);
    let optional = Script::tls(&mesh.server, ClientPolicy::Optional, Secured::Silent);
    let none = Options {
        credentials: None,
        ..options.clone()
    };
    let all = [
        (
            Memory::turns(vec![], vec![silent()]),
            &options,
            Cause::ResolveFailed,
            1,
        ),
        (
            Memory::turns(vec![Met::Nobody; 3], vec![silent()]),
            &options,
            Cause::ConnectTimeout,
            1,
        ),
        (peer(vec![Script::Silent]), &options, Cause::TlsStalled, 1),
        // The second handshake, with a certificate.
        (
            peer(vec![silent(), Script::Silent]),
            &options,
            Cause::TlsStalled,
            1,
        ),
        (peer(vec![silent()]), &options, Cause::Http2Stalled, 1),
        // A peer that goes away is asked once more what it has against the certificate.
        (
            peer(vec![silent(), closing.clone(), Script::Silent]),
            &options,
            Cause::Http2Error,
            1,
        ),
        (
            peer(vec![silent(), closing, refused]),
            &options,
            Cause::ClientUntrusted,
            0,
        ),
        // It may refuse what it did not get, and then does not greet.
        (peer(vec![optional]), &none, Cause::Http2Stalled, 2),
        (
            peer(vec![http2(&mesh, Tunnel::Silent)]),
            &options,
            Cause::ConnectStalled,
            1,
        ),
        (
            peer(vec![http2(&mesh, Tunnel::Stuck)]),
            &options,
            Cause::DataStalled,
            1,
        ),
        (
            peer(vec![http2(&mesh, Tunnel::Half(9001))]),
            &options,
            Cause::DataStalled,
            1,
        ),
        (
            peer(vec![http2(&mesh, Tunnel::Echo)]),
            &options,
            Cause::Healthy,
            0,
        ),
    ];
    for (place, (way, options, cause, stalls)) in all.into_iter().enumerate() {
        let (report, time) = timed(&way, options).await;
        let told = told(&report);
        assert_eq!(report.cause, cause, "{place}: {told}");
        assert_eq!(
            report.time(),
            time,
            "{place}: all time is some step's: {told}"
        );
        let most = LIMIT * stalls + Duration::from_millis(100);
        assert!(
            time >= LIMIT * stalls && time < most,
            "{place}: {time:?}: {told}"
        );
        for step in &report.steps {
            let most = LIMIT + Duration::from_millis(2);
            assert!(step.time <= most, "{place}: {step:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_application_that_says_nothing_costs_a_moment_for_any_number_of_sizes() {
    let mesh = Mesh::new();
    let options = Options {
        timeout: LIMIT,
        sizes: vec![100; 50],
        ..mesh.with_target()
    };
    let way = Memory::new(vec![Met::Peer], || http2(&mesh, Tunnel::Half(0)));
    let (report, time) = timed(&way, &options).await;
    assert_eq!(report.cause, Cause::Healthy, "{}", told(&report));
    let data = report.steps.iter().find(|s| s.kind == StepKind::Data);
    assert!(data.unwrap().time < LIMIT / 4, "{time:?}: {data:?}");
}

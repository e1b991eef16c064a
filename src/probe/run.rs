//! The steps of a probe, as they are done.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ambient_hbone::{Connection, Fault};
use ambient_identity::{Certificate, Inspection, SpiffeId, UnixTime};
use tokio::io::AsyncBufReadExt as _;
use tokio::time::timeout;

use super::act::{Stream, ask, carry, connect_any, resolve, secure};
use super::judge::{self, Server, Verdict};
use super::{Address, Cause, Options, Peer, Report, Step, StepKind, StepResult};

/// Probes one address. It takes no longer than the steps together may.
pub async fn run(address: Address, options: &Options) -> Report {
    let mut probe = Probe {
        options,
        steps: Vec::new(),
        peer: None,
        warnings: Vec::new(),
    };
    let cause = match probe.steps(&address).await {
        Ok(()) => Cause::Healthy,
        Err(cause) => cause,
    };
    probe.skip_rest(match cause {
        Cause::Healthy => "",
        _ => "a step before failed",
    });
    Report {
        address,
        cause,
        steps: probe.steps,
        peer: probe.peer,
        warnings: probe.warnings,
    }
}

struct Probe<'o> {
    options: &'o Options,
    steps: Vec<Step>,
    peer: Option<Peer>,
    warnings: Vec<String>,
}

impl Probe<'_> {
    async fn steps(&mut self, address: &Address) -> Result<(), Cause> {
        let candidates = self
            .step(StepKind::Resolve, |limit| resolve(address, limit))
            .await?;
        let (to, stream) = self
            .step(StepKind::Tcp, |limit| connect_any(candidates, limit))
            .await?;
        let (mut stream, mut inspection) = self
            .step(StepKind::Tls, |limit| secure(stream, None, limit))
            .await?;
        self.look_at(&inspection);

        let started = Instant::now();
        let judged = self.judge_server(&inspection);
        let judged = judged.map(|identity| (identity.clone(), identity));
        let identity = self.record(StepKind::Identity, started.elapsed(), judged)?;
        let asks = inspection.asks_for_certificate;
        let mut shown = false;
        if let Some(credentials) = self.options.credentials.as_ref().filter(|_| asks) {
            drop(stream);
            let limit = self.options.timeout;
            let again = async {
                let (_, stream) = connect_any(vec![to], limit).await?.0;
                secure(stream, Some(credentials), limit).await
            };
            // Another server may answer this time, as behind a Service.
            let judged = again.await.and_then(|((secured, inspection), _)| {
                self.look_at(&inspection);
                self.judge_server(&inspection)?;
                Ok((secured, inspection))
            });
            match judged {
                Ok(secured) => (stream, inspection) = secured,
                Err(verdict) => return Err(self.fail(StepKind::Identity, verdict)),
            }
            shown = true;
        } else if asks {
            match self.wait_for_refusal(&mut stream).await {
                Refusal::Alert(alert) => {
                    self.amend(StepKind::Identity, &format!("{identity}, {alert}"));
                    self.skip_rest("the peer asks for a certificate: give --cert and --key");
                    return Ok(());
                }
                Refusal::Other(verdict) => return Err(self.fail(StepKind::Identity, verdict)),
                Refusal::None => {
                    let warning =
                        "the peer asks for a certificate and does without: it accepts anybody";
                    self.warnings.push(warning.to_owned());
                }
            }
        } else {
            let warning = "the peer asks for no certificate: it accepts anybody";
            self.warnings.push(warning.to_owned());
        }
        let protocol = inspection.protocol;
        let started = Instant::now();
        let greeted = match self.greet(stream, shown, protocol.as_deref()).await {
            Err(verdict) if shown && verdict.cause == Cause::Http2Error => {
                // The refusal of a certificate can be lost when we speak at the same time.
                Err(self.refusal_of_certificate(to).await.unwrap_or(verdict))
            }
            other => other,
        };
        let mut connection = match greeted {
            // The verdict on a certificate comes with the first octets after the handshake.
            Err(verdict) if verdict.cause.is_of_client() => {
                return Err(self.fail(StepKind::Identity, verdict));
            }
            other => {
                let detail = "SETTINGS came, and PING was answered".to_owned();
                let outcome = other.map(|connection| (connection, detail));
                self.record(StepKind::Http2, started.elapsed(), outcome)?
            }
        };
        self.through(&mut connection).await
    }

    /// The rest, once HTTP/2 stands.
    async fn through(&mut self, connection: &mut Connection) -> Result<(), Cause> {
        let Some(target) = self.options.target else {
            self.skip_rest("no --target was given");
            return Ok(());
        };
        let mut tunnel = self
            .step(StepKind::Connect, |limit| ask(connection, target, limit))
            .await?;
        let sizes = self.options.sizes.clone();
        self.step(StepKind::Data, |limit| async move {
            carry(connection, &mut tunnel, &sizes, limit).await
        })
        .await
    }

    /// Does a step, and records how it went.
    async fn step<T, F, R>(&mut self, kind: StepKind, step: F) -> Result<T, Cause>
    where
        F: FnOnce(Duration) -> R,
        R: Future<Output = Result<(T, String), Verdict>>,
    {
        let started = Instant::now();
        let outcome = step(self.options.timeout).await;
        self.record(kind, started.elapsed(), outcome)
    }

    fn record<T>(
        &mut self,
        kind: StepKind,
        time: Duration,
        outcome: Result<(T, String), Verdict>,
    ) -> Result<T, Cause> {
        let (result, detail, value) = match outcome {
            Ok((value, detail)) => (StepResult::Ok, detail, Ok(value)),
            Err(Verdict { cause, detail }) => (StepResult::Failed, detail, Err(cause)),
        };
        self.steps.push(Step {
            kind,
            result,
            time,
            detail,
        });
        value
    }

    /// Adds to what was seen in the last step.
    fn amend(&mut self, kind: StepKind, detail: &str) {
        if let Some(step) = self.steps.last_mut().filter(|step| step.kind == kind) {
            detail.clone_into(&mut step.detail);
        }
    }

    /// The last step failed after all.
    fn fail(&mut self, kind: StepKind, Verdict { cause, detail }: Verdict) -> Cause {
        if let Some(step) = self.steps.last_mut().filter(|step| step.kind == kind) {
            step.result = StepResult::Failed;
            step.detail = detail;
        }
        cause
    }

    fn skip_rest(&mut self, reason: &str) {
        for kind in StepKind::ALL.into_iter().skip(self.steps.len()) {
            self.steps.push(Step {
                kind,
                result: StepResult::Skipped,
                time: Duration::ZERO,
                detail: reason.to_owned(),
            });
        }
    }

    fn look_at(&mut self, inspection: &Inspection) {
        let own = inspection.chain.first();
        self.peer = Some(Peer {
            certificate: own.and_then(|own| Certificate::read(own).ok()),
            version: inspection.version.clone(),
            suite: inspection.suite.clone(),
            group: inspection.group.clone(),
            protocol: inspection.protocol.clone(),
            asks_for_certificate: inspection.asks_for_certificate,
        });
    }

    fn judge_server(&self, inspection: &Inspection) -> Result<String, Verdict> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let chain = self
            .options
            .roots
            .as_ref()
            .map(|roots| roots.judge(&inspection.chain, UnixTime::since_unix_epoch(now)));
        let certificate = self.peer.as_ref().and_then(|p| p.certificate.as_ref());
        let credentials = self.options.credentials.as_ref();
        let own: Option<SpiffeId> = credentials.and_then(|c| c.certificate().identities().next());
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let server = Server { certificate, chain };
        judge::server(&server, self.options.expected.as_ref(), own.as_ref(), now)
    }

    /// What a peer does that asked for a certificate and got none. Nothing is sent meanwhile: the
    /// answer to it could overtake the alert.
    async fn wait_for_refusal(&self, stream: &mut Stream) -> Refusal {
        match timeout(self.options.timeout, stream.fill_buf()).await {
            Ok(Ok([])) => Refusal::Alert("then closed without an alert".to_owned()),
            // It may be waiting for us to begin.
            Err(_) | Ok(Ok(_)) => Refusal::None,
            Ok(Err(error)) => match judge::wants_certificate(&error) {
                Some(alert) => Refusal::Alert(alert),
                None if error.kind() == io::ErrorKind::ConnectionReset => {
                    Refusal::Alert("then RST without an alert".to_owned())
                }
                None => Refusal::Other(judge::greeting(&Fault::Stream(error), false, Some("h2"))),
            },
        }
    }

    async fn greet(
        &self,
        stream: Stream,
        shown: bool,
        chose: Option<&str>,
    ) -> Result<Connection, Verdict> {
        let greeted = timeout(self.options.timeout, async {
            let mut connection = Connection::open(stream).await?;
            connection.settle().await?;
            Ok::<_, Fault>(connection)
        });
        match greeted.await {
            Err(_) => Err(judge::late(Cause::Http2Stalled, self.options.timeout)),
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(fault)) => Err(judge::greeting(&fault, shown, chose)),
        }
    }

    /// Shows the certificate once more, and only listens: what the peer has against it, if that is
    /// why it went away.
    async fn refusal_of_certificate(&self, to: SocketAddr) -> Option<Verdict> {
        let limit = self.options.timeout;
        let credentials = self.options.credentials.as_ref();
        let ((_, stream), _) = connect_any(vec![to], limit).await.ok()?;
        let ((mut stream, _), _) = secure(stream, credentials, limit).await.ok()?;
        let error = timeout(limit, stream.fill_buf()).await.ok()?.err()?;
        let verdict = judge::greeting(&Fault::Stream(error), true, None);
        verdict.cause.is_of_client().then_some(verdict)
    }
}

enum Refusal {
    /// It refused for want of one, as described.
    Alert(String),
    /// It refused for something else.
    Other(Verdict),
    /// It did not refuse.
    None,
}

//! The steps of a probe, as they are done.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ambient_hbone::{Fault, ProbeConnection};
use ambient_identity::{Certificate, Inspection, SpiffeId, UnixTime};
use tokio::io::AsyncBufReadExt as _;

use super::act::{Stream, ask, connect, resolve, secure};
use super::carry::{listen, sweep};
use super::judge::{self, Server, Verdict};
use super::limit::Limit;
use super::{Address, Cause, Dial, Network, Options, Peer, Report, Step, StepKind, StepResult};

/// Probes one address over the network of this host. It takes no longer than the steps together may.
pub async fn run(address: Address, options: &Options) -> Report {
    run_through(&Network, address, options).await
}

/// Probes one address over any way. It takes no longer than the steps together may, and the time of
/// the steps is all that it takes.
pub async fn run_through<D: Dial>(way: &D, address: Address, options: &Options) -> Report {
    let mut probe = Probe {
        way,
        options,
        steps: Vec::new(),
        peer: None,
        warnings: Vec::new(),
    };
    let (cause, advice) = match probe.steps(&address).await {
        Ok(()) => (Cause::Healthy, None),
        Err(failed) => (failed.cause, failed.advice),
    };
    probe.skip_rest("a step before failed");
    Report {
        address,
        cause,
        advice,
        steps: probe.steps,
        peer: probe.peer,
        warnings: probe.warnings,
    }
}

struct Probe<'o, D> {
    way: &'o D,
    options: &'o Options,
    steps: Vec<Step>,
    peer: Option<Peer>,
    warnings: Vec<String>,
}

/// A step failed, and is recorded.
struct Failed {
    cause: Cause,
    advice: Option<&'static str>,
}

/// A secured connection, with how things stand with our certificate.
struct Met<S> {
    stream: Stream<S>,
    protocol: Option<String>,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The peer asked for no certificate.
    NotAsked,
    /// It asked, got none, and did not complain yet.
    Withheld,
    /// It asked, and was shown one.
    Shown,
}

/// What a peer that asked for a certificate and got none says to it.
enum Refusal {
    /// It refused for want of one, as described.
    WantsOne(String),
    /// It refused for something else.
    Other(Verdict),
    /// It did not refuse.
    None,
}

impl<D: Dial> Probe<'_, D> {
    async fn steps(&mut self, address: &Address) -> Result<(), Failed> {
        let limit = self.limit();
        let addresses = resolve(self.way, address, limit).await;
        let addresses = self.record(StepKind::Resolve, limit, addresses)?;

        let limit = self.limit();
        let reached = connect(self.way, &addresses, limit).await;
        let reached = self.record(StepKind::Tcp, limit, reached)?;
        let failed = reached.failed.iter();
        self.warnings
            .extend(failed.map(|failed| format!("another address of the name failed: {failed}")));

        let limit = self.limit();
        let secured = secure(reached.stream, None, limit).await;
        let (stream, inspection) = self.record(StepKind::Tls, limit, secured)?;
        let protocol = inspection.protocol.clone();

        let limit = self.limit();
        let known = self.identify(stream, inspection, reached.to, limit).await;
        let met = self.record(StepKind::Identity, limit, known)?;
        self.warnings.extend(self.peer.as_ref().and_then(several));
        let Some(met) = met else {
            self.stop_short(protocol.as_deref());
            return Ok(());
        };
        let Some(mut connection) = self.greet(met, reached.to).await? else {
            return Ok(());
        };
        let Some(target) = self.options.target else {
            self.skip_rest("no --target was given");
            return Ok(());
        };
        let limit = self.limit();
        let tunnel = ask(&mut connection, target, limit).await;
        let mut tunnel = self.record(StepKind::Connect, limit, tunnel)?;

        let limit = self.limit();
        let carried = match &self.options.sizes[..] {
            [] => listen(&mut tunnel, limit).await,
            sizes => sweep(&mut connection, &mut tunnel, sizes, limit).await,
        };
        self.record(StepKind::Data, limit, carried)
    }

    /// Finds out who the peer is, and makes a connection with our certificate where it asks for one.
    /// `None` where it will not go on without.
    async fn identify(
        &mut self,
        mut stream: Stream<D::Stream>,
        inspection: Inspection,
        to: SocketAddr,
        limit: Limit,
    ) -> Result<(Option<Met<D::Stream>>, String), Verdict> {
        let identity = self.judge_server(&inspection)?;
        let asks = inspection.asks_for_certificate;
        if !asks || self.options.credentials.is_none() {
            let standing = if asks {
                match wait_for_refusal(&mut stream, limit).await {
                    Refusal::WantsOne(alert) => return Ok((None, format!("{identity}, {alert}"))),
                    Refusal::Other(verdict) => return Err(verdict),
                    Refusal::None => Standing::Withheld,
                }
            } else {
                Standing::NotAsked
            };
            let protocol = inspection.protocol;
            let met = Met {
                stream,
                protocol,
                standing,
            };
            return Ok((Some(met), identity));
        }
        drop(stream);
        let (stream, inspection) = self.show_certificate(to, limit).await?;
        // Another server may answer this time, as behind a Service.
        let identity = self.judge_server(&inspection)?;
        let met = Met {
            stream,
            protocol: inspection.protocol,
            standing: Standing::Shown,
        };
        Ok((Some(met), identity))
    }

    /// A new connection, with our certificate.
    async fn show_certificate(
        &self,
        to: SocketAddr,
        limit: Limit,
    ) -> Result<(Stream<D::Stream>, Inspection), Verdict> {
        let again = async {
            let (reached, _) = connect(self.way, &[to], limit).await?;
            let credentials = self.options.credentials.as_ref();
            Ok(secure(reached.stream, credentials, limit).await?.0)
        };
        again.await.map_err(|verdict: Verdict| Verdict {
            detail: format!("with the certificate: {}", verdict.detail),
            ..verdict
        })
    }

    /// Greets in HTTP/2, which is where the verdict on a certificate comes: with the first octets
    /// after the handshake. The step that is at fault gets the time. `None` where the peer turns out
    /// to want a certificate.
    async fn greet(
        &mut self,
        met: Met<D::Stream>,
        to: SocketAddr,
    ) -> Result<Option<ProbeConnection>, Failed> {
        let limit = self.limit();
        let standing = met.standing;
        let greeted = limit.bound(async {
            let mut connection = ProbeConnection::open(met.stream).await?;
            connection.settle().await?;
            Ok::<_, Fault>(connection)
        });
        let verdict = match greeted.await {
            Ok(Ok(connection)) => {
                self.warnings.extend(warning(standing));
                let detail = "SETTINGS came, and PING was answered".to_owned();
                return self
                    .record(StepKind::Http2, limit, Ok((connection, detail)))
                    .map(Some);
            }
            Ok(Err(Fault::Stream(error))) if standing == Standing::Withheld => {
                if let Some(alert) = judge::wants_certificate(&error) {
                    self.amend(limit.elapsed(), |detail| format!("{detail}, {alert}"));
                    self.stop_short(met.protocol.as_deref());
                    return Ok(None);
                }
                judge::greeting(&Fault::Stream(error), false, met.protocol.as_deref())
            }
            Ok(Err(fault)) => {
                let shown = standing == Standing::Shown;
                judge::greeting(&fault, shown, met.protocol.as_deref())
            }
            Err(late) => judge::late(Cause::Http2Stalled, late),
        };
        let verdict = if standing == Standing::Shown && verdict.cause == Cause::Http2Error {
            // The refusal of a certificate can be lost when we speak at the same time.
            let refusal = self.refusal_of_certificate(to, limit).await;
            refusal.unwrap_or(verdict)
        } else {
            verdict
        };
        if verdict.cause.is_of_client() {
            let Verdict {
                cause,
                detail,
                advice,
            } = verdict;
            self.amend(limit.elapsed(), |_| detail);
            if let Some(step) = self.steps.last_mut() {
                step.result = StepResult::Failed;
            }
            return Err(Failed { cause, advice });
        }
        self.record(StepKind::Http2, limit, Err(verdict))
    }

    /// Shows the certificate once more, and only listens: what the peer has against it, if that is
    /// why it went away.
    async fn refusal_of_certificate(&self, to: SocketAddr, limit: Limit) -> Option<Verdict> {
        let (mut stream, _) = self.show_certificate(to, limit).await.ok()?;
        let error = limit.bound(stream.fill_buf()).await.ok()?.err()?;
        let verdict = judge::greeting(&Fault::Stream(error), true, None);
        verdict.cause.is_of_client().then_some(verdict)
    }

    /// Ends where the peer wants a certificate and none is given, and says what is not known for it.
    fn stop_short(&mut self, protocol: Option<&str>) {
        if protocol.is_none() {
            let warning = "the peer chose no protocol (ALPN), where proxies of the mesh choose `h2`: \
                           with --cert and --key it shows whether it speaks HTTP/2";
            self.warnings.push(warning.to_owned());
        }
        if let Some(target) = self.options.target {
            let warning =
                format!("the tunnel to {target} was not tried: it takes --cert and --key");
            self.warnings.push(warning);
        }
        self.skip_rest("the peer asks for a certificate: give --cert and --key");
    }

    /// The limit of a step that begins.
    fn limit(&self) -> Limit {
        Limit::start(self.options.timeout)
    }

    fn record<T>(
        &mut self,
        kind: StepKind,
        limit: Limit,
        outcome: Result<(T, String), Verdict>,
    ) -> Result<T, Failed> {
        let (result, detail, value) = match outcome {
            Ok((value, detail)) => (StepResult::Ok, detail, Ok(value)),
            Err(Verdict {
                cause,
                detail,
                advice,
            }) => (StepResult::Failed, detail, Err(Failed { cause, advice })),
        };
        self.steps.push(Step {
            kind,
            result,
            time: limit.elapsed(),
            detail,
        });
        value
    }

    /// Gives the last step more time, and what was seen in it.
    fn amend(&mut self, time: Duration, detail: impl FnOnce(&str) -> String) {
        if let Some(step) = self.steps.last_mut() {
            step.time += time;
            step.detail = detail(&step.detail);
        }
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

    /// Judges what a handshake showed, and keeps it.
    fn judge_server(&mut self, inspection: &Inspection) -> Result<String, Verdict> {
        let own = inspection.chain.first();
        let peer = self.peer.insert(Peer {
            certificate: own.and_then(|own| Certificate::read(own).ok()),
            version: inspection.version.clone(),
            suite: inspection.suite.clone(),
            group: inspection.group.clone(),
            protocol: inspection.protocol.clone(),
            asks_for_certificate: inspection.asks_for_certificate,
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let roots = self.options.roots.as_ref();
        let chain =
            roots.map(|roots| roots.judge(&inspection.chain, UnixTime::since_unix_epoch(now)));
        let server = Server {
            certificate: peer.certificate.as_ref(),
            chain,
        };
        let credentials = self.options.credentials.iter();
        let own: Vec<SpiffeId> = credentials
            .flat_map(|own| own.certificate().identities())
            .collect();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        judge::server(&server, self.options.expected.as_ref(), &own, now)
    }
}

/// What a peer does that asked for a certificate and got none. Nothing is sent meanwhile: the answer
/// to it could overtake the alert.
async fn wait_for_refusal<S>(stream: &mut Stream<S>, limit: Limit) -> Refusal
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    match limit.bound(stream.fill_buf()).await {
        Ok(Ok([])) => Refusal::WantsOne("then closed without an alert".to_owned()),
        // It may be waiting for us to begin.
        Err(_) | Ok(Ok(_)) => Refusal::None,
        Ok(Err(error)) => match judge::wants_certificate(&error) {
            Some(alert) => Refusal::WantsOne(alert),
            None if error.kind() == io::ErrorKind::ConnectionReset => {
                Refusal::WantsOne("then RST without an alert".to_owned())
            }
            None => Refusal::Other(judge::greeting(&Fault::Stream(error), false, Some("h2"))),
        },
    }
}

/// A server with several identities.
fn several(peer: &Peer) -> Option<String> {
    let count = peer.certificate.as_ref()?.identities().count();
    (count > 1).then(|| {
        format!(
            "the peer's certificate has {count} identities, where SPIFFE permits one: policies see the first alone"
        )
    })
}

/// What works and should not be so.
fn warning(standing: Standing) -> Option<String> {
    let reason = match standing {
        Standing::NotAsked => "asks for no certificate",
        Standing::Withheld => "asks for a certificate and does without",
        Standing::Shown => return None,
    };
    Some(format!("the peer {reason}: it accepts anybody"))
}

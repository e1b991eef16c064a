//! What is done and looked at: each step says what it saw.

use std::time::Duration;

use ambient_runtime::log::Log;
use tokio::time::timeout;

use super::stand::Stand;
use super::witness::Word;
use super::{Demo, ends};

/// The longest that is waited for what a relay tells.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much is sent through the tunnel.
const OCTETS: usize = 256 * 1024;

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What should be so.
    pub name: &'static str,
    /// What was seen, or why it is not so.
    pub seen: Result<String, String>,
}

impl Demo {
    /// Does everything once, in order.
    pub async fn check(&self, log: &Log) -> Vec<Check> {
        let (web, echo) = (&self.web, &self.echo);
        let of = |name, seen| Check { name, seen };
        vec![
            of(
                "what is sent through the tunnel comes back",
                self.exchange().await,
            ),
            of(
                "the client's relay knows the server",
                knows(web, echo).await,
            ),
            of(
                "the server's relay knows the client",
                knows(echo, web).await,
            ),
            of("metrics count it, in mutual TLS", self.counted().await),
            of("the log has it", self.logged(log).await),
            of(
                "another trust domain gets nothing",
                self.stranger_sends().await,
            ),
            of(
                "the server's relay says why",
                refusal(echo, self.stranger.identity()).await,
            ),
            of("the other relay says it too", failure(&self.stranger).await),
            of("no task panicked", self.no_panic()),
        ]
    }

    async fn exchange(&self) -> Result<String, String> {
        let octets: Vec<u8> = (0..=u8::MAX).cycle().take(OCTETS).collect();
        let took = ends::exchange(self.entrance(), &octets).await?;
        let milliseconds = took.as_secs_f64() * 1000.0;
        Ok(format!("{OCTETS} octets unchanged, in {milliseconds:.1}ms"))
    }

    async fn counted(&self) -> Result<String, String> {
        closed(&self.web).await?;
        closed(&self.echo).await?;
        let mut seen = Vec::new();
        for stand in [&self.web, &self.echo] {
            let received = secured(stand, "istio_tcp_received_bytes_total");
            let sent = secured(stand, "istio_tcp_sent_bytes_total");
            let octets = OCTETS as u64;
            if (received, sent) != (octets, octets) {
                let name = stand.place().workload;
                return Err(format!(
                    "`{name}` counted {received} octets there, {sent} back"
                ));
            }
            seen.push(format!("`{}`", stand.place().workload));
        }
        Ok(format!("{} counted the octets", seen.join(" and ")))
    }

    async fn logged(&self, log: &Log) -> Result<String, String> {
        closed(&self.echo).await?;
        if !log.flush(PATIENCE) {
            return Err("the log cannot be written".to_owned());
        }
        let octets = OCTETS.to_string();
        let line = ["connection complete", octets.as_str()];
        match self.memory.with(&line).as_slice() {
            [_, _] => Ok("a line of each relay".to_owned()),
            lines => Err(format!("{} lines", lines.len())),
        }
    }

    async fn stranger_sends(&self) -> Result<String, String> {
        match ends::exchange(self.stranger.outbound(), b"let me in\n").await {
            Ok(_) => Err("it got through".to_owned()),
            Err(error) => Ok(error),
        }
    }

    fn no_panic(&self) -> Result<String, String> {
        match self.panics.count() {
            0 => Ok("none".to_owned()),
            count => Err(format!("{count} did")),
        }
    }
}

/// Whether a relay has proof of who another is.
async fn knows(stand: &Stand, other: &Stand) -> Result<String, String> {
    let peer = |word: &Word| match word {
        Word::Peer(identity) => Some(identity.clone()),
        _ => None,
    };
    let seen = heard(stand, peer).await?;
    if seen == other.identity() {
        Ok(seen)
    } else {
        Err(seen)
    }
}

/// Why a relay has refused a peer, which has to be for who it is.
async fn refusal(stand: &Stand, stranger: String) -> Result<String, String> {
    let refused = |word: &Word| match word {
        Word::Refused(why) => Some(why.clone()),
        _ => None,
    };
    let why = heard(stand, refused).await?;
    if why.contains(&stranger) {
        Ok(why)
    } else {
        Err(why)
    }
}

/// Why a connection of a relay has failed.
async fn failure(stand: &Stand) -> Result<String, String> {
    let failed = |word: &Word| match word {
        Word::Failed(why) => Some(why.clone()),
        _ => None,
    };
    heard(stand, failed).await
}

async fn closed(stand: &Stand) -> Result<(), String> {
    heard(stand, |word| (*word == Word::Closed).then_some(())).await
}

async fn heard<T>(stand: &Stand, of: impl Fn(&Word) -> Option<T>) -> Result<T, String> {
    let heard = timeout(PATIENCE, stand.witness.last(of)).await;
    heard.map_err(|_| {
        format!(
            "the relay of `{}` told nothing of it",
            stand.place().workload
        )
    })
}

/// What a counter has for connections in mutual TLS.
fn secured(stand: &Stand, name: &str) -> u64 {
    let all = stand.counted(name);
    let secured = all
        .iter()
        .filter(|(labels, _)| labels.contains("\"mutual_tls\""));
    secured.map(|(_, value)| value).sum()
}

//! What a relay tells of its connections, in lines.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ambient_identity::SpiffeId;
use ambient_ztunnel::copy::{Meter, Side};
use ambient_ztunnel::report::{About, Early, End, Handshake, Observer, Record};
use tokio::sync::mpsc;

/// Tells in lines what happens, without what differs from run to run.
#[derive(Clone)]
pub(crate) struct Seen {
    net: String,
    told: mpsc::UnboundedSender<String>,
    pub(crate) took: Arc<Mutex<Vec<Duration>>>,
    pub(crate) bug: Arc<Mutex<Option<SocketAddr>>>,
}

impl Seen {
    pub(crate) fn new([a, b]: [u8; 2]) -> (Self, mpsc::UnboundedReceiver<String>) {
        let (told, seen) = mpsc::unbounded_channel();
        let net = format!("127.{a}.{b}.");
        let seen_by = Self {
            net,
            told,
            took: Arc::default(),
            bug: Arc::default(),
        };
        (seen_by, seen)
    }

    fn tell(&self, line: &str) {
        let line = line.replace(&self.net, "NET.");
        // Ports of the test are above those of the mesh.
        let mut words = Vec::new();
        for word in line.split(' ') {
            let bare = word.trim_end_matches(|c: char| !c.is_ascii_digit());
            let end = word.strip_prefix(bare).unwrap_or_default();
            let port = bare.rsplit_once(':').and_then(|(before, port)| {
                let port = port.parse::<u16>().ok()?;
                (port > 15_100).then(|| format!("{before}:PORT{end}"))
            });
            words.push(port.unwrap_or_else(|| word.to_owned()));
        }
        _ = self.told.send(words.join(" "));
    }
}

impl Observer for Seen {
    fn open(&self, about: About) -> Box<dyn Record> {
        Box::new(Line {
            seen: self.clone(),
            about,
            counts: Mutex::default(),
        })
    }

    fn refuse(&self, early: &Early<'_>) {
        self.tell(&format!(
            "refused {} from {} to {}: {}",
            early.direction, early.source, early.destination, early.failure
        ));
    }

    fn handshake(&self, handshake: &Handshake<'_>) {
        let outcome = match handshake.outcome {
            Ok(identity) => {
                self.took.lock().unwrap().push(handshake.took);
                identity.to_string()
            }
            Err(error) => error.to_string(),
        };
        self.tell(&format!(
            "TLS {} with {}: {outcome}",
            handshake.direction, handshake.peer
        ));
    }
}

struct Line {
    seen: Seen,
    about: About,
    counts: Mutex<[u64; 2]>,
}

impl Meter for Line {
    fn passed(&self, from: Side, octets: u64) {
        let bug = *self.seen.bug.lock().unwrap();
        assert!(bug != Some(self.about.original), "a bug of ours");
        self.counts.lock().unwrap()[usize::from(from == Side::Server)] += octets;
    }
}

impl Record for Line {
    fn connected(&self, _: Duration) {}

    fn close(self: Box<Self>, end: &End) {
        let about = &self.about;
        let who = |identity: &Option<SpiffeId>| {
            let account = identity.as_ref().map(|id| id.service_account().to_owned());
            account.unwrap_or_else(|| "-".to_owned())
        };
        let [up, down] = *self.counts.lock().unwrap();
        let end = match end {
            End::Over(ending) => format!("{ending:?}"),
            End::Failed(failure) => failure.to_string(),
            other => format!("{other:?}"),
        };
        let target = about.target.as_ref().map(ToString::to_string);
        let service = about.service.as_ref().map_or("-", |s| s.hostname.as_str());
        let line = format!(
            "{} {} of {} to {} of {} for {} at {service}: {up} up, {down} down, {end}",
            about.direction,
            about.source,
            who(&about.client_identity),
            about.destination,
            who(&about.server_identity),
            target.unwrap_or_else(|| "-".to_owned()),
        );
        self.seen.tell(&line);
    }
}

//! `baggage`: what a proxy says of the workload that it speaks for.

use ambient_facts::headers::baggage as keys;
use http::HeaderValue;

/// Octets of all values together that are read (W3C Baggage, section 3.3.2: what must not be cut).
const MOST_OCTETS: usize = 8192;
/// Entries that are read; the same section lets a reader drop those that come after 64.
const MOST_ENTRIES: usize = 64;

/// What a proxy says of the workload that it speaks for. What is unknown is left out, never written
/// empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Baggage {
    /// The cluster's id.
    pub cluster: Option<String>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Kind and name of the workload: `(Deployment, "web")`.
    pub workload: Option<(WorkloadKind, String)>,
    /// The canonical service.
    pub service: Option<String>,
    /// The canonical revision.
    pub version: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The zone.
    pub zone: Option<String>,
}

/// Kinds of workloads that are told apart (istio/ztunnel `proto/workload.proto`, `WorkloadType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// A Deployment.
    Deployment,
    /// A CronJob.
    CronJob,
    /// A Pod of its own.
    Pod,
    /// A Job.
    Job,
}

impl WorkloadKind {
    const ALL: [Self; 4] = [Self::Deployment, Self::CronJob, Self::Pod, Self::Job];

    /// The name, as it stands in the middle of a key.
    fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::CronJob => "cronjob",
            Self::Pod => "pod",
            Self::Job => "job",
        }
    }

    fn of(key: &str) -> Option<Self> {
        let key = key.strip_prefix(keys::WORKLOAD_PREFIX)?;
        let kind = key.strip_suffix(keys::WORKLOAD_SUFFIX)?;
        Self::ALL.into_iter().find(|k| k.name() == kind)
    }
}

impl Baggage {
    /// The header's value, in ztunnel's order; `None` when nothing is known.
    pub fn encode(&self) -> Option<HeaderValue> {
        let mut text = String::with_capacity(256);
        let mut put = |key: [&str; 3], value: &str| {
            if value.is_empty() {
                return;
            }
            if !text.is_empty() {
                text.push(',');
            }
            text.extend(key);
            text.push('=');
            for &octet in value.as_bytes() {
                push(&mut text, octet);
            }
        };
        let plain = [
            (keys::CLUSTER, &self.cluster),
            (keys::NAMESPACE, &self.namespace),
        ];
        for (key, value) in plain {
            put([key, "", ""], value.as_deref().unwrap_or_default());
        }
        if let Some((kind, name)) = &self.workload {
            let key = [keys::WORKLOAD_PREFIX, kind.name(), keys::WORKLOAD_SUFFIX];
            put(key, name);
        }
        let plain = [
            (keys::SERVICE, &self.service),
            (keys::VERSION, &self.version),
            (keys::REGION, &self.region),
            (keys::ZONE, &self.zone),
        ];
        for (key, value) in plain {
            put([key, "", ""], value.as_deref().unwrap_or_default());
        }
        if text.is_empty() {
            return None;
        }
        // Cannot fail: whatever could not stand in a header was replaced.
        HeaderValue::try_from(text).ok()
    }

    /// Reads the values of all `baggage` headers. An entry that is unknown, empty or unreadable says
    /// nothing, the last of several for one key counts, and what goes beyond 64 entries or 8192
    /// octets is not read.
    pub fn decode<'v>(values: impl IntoIterator<Item = &'v [u8]>) -> Self {
        let mut baggage = Self::default();
        let (mut octets, mut entries) = (MOST_OCTETS, MOST_ENTRIES);
        for value in values {
            // A value that is cut would end in half an entry, which could be mistaken for a whole.
            let Some(left) = octets.checked_sub(value.len()) else {
                break;
            };
            octets = left;
            for entry in value.split(|b| *b == b',') {
                let Some(left) = entries.checked_sub(1) else {
                    return baggage;
                };
                entries = left;
                if let Ok(entry) = std::str::from_utf8(entry) {
                    baggage.take(entry);
                }
            }
        }
        baggage
    }

    fn take(&mut self, entry: &str) {
        // Properties of an entry follow a semicolon.
        let entry = entry.split(';').next().unwrap_or_default();
        let Some((key, value)) = entry.split_once('=') else {
            return;
        };
        let key = key.trim_matches([' ', '\t']);
        let Some(value) = unescape(value.trim_matches([' ', '\t'])) else {
            return;
        };
        let value = Some(value).filter(|v| !v.is_empty());
        match key {
            keys::CLUSTER => self.cluster = value,
            keys::NAMESPACE => self.namespace = value,
            keys::SERVICE => self.service = value,
            keys::VERSION => self.version = value,
            keys::REGION => self.region = value,
            keys::ZONE => self.zone = value,
            _ => {
                if let Some(kind) = WorkloadKind::of(key) {
                    self.workload = value.map(|name| (kind, name));
                }
            }
        }
    }
}

/// Writes an octet of a value: as it is, or with a percent sign where it would end the value (W3C
/// Baggage, section 3.3.1.3). Names in Kubernetes have none of those, so ztunnel reads what we write.
fn push(text: &mut String, octet: u8) {
    match octet {
        b'"' | b',' | b';' | b'\\' | b'%' | ..=b' ' | 0x7f.. => {
            text.push('%');
            for digit in [octet >> 4, octet & 15] {
                text.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
            }
        }
        _ => text.push(char::from(octet)),
    }
}

/// Reads a value with percent signs; one that starts no escape stands for itself, since ztunnel
/// escapes nothing. `None` for what is then no text, or could not be shown in a line.
fn unescape(value: &str) -> Option<String> {
    let mut octets = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, tail @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    octets.push(high << 4 | low);
                    rest = tail;
                }
                _ => octets.push(b'%'),
            },
            _ => octets.push(*first),
        }
    }
    let value = String::from_utf8(octets).ok()?;
    (!value.contains(char::is_control)).then_some(value)
}

fn digit(octet: u8) -> Option<u8> {
    let value = char::from(octet).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Baggage {
        let some = |text: &str| Some(text.to_owned());
        Baggage {
            cluster: some("Kubernetes"),
            namespace: some("shop"),
            workload: Some((WorkloadKind::CronJob, "bill".to_owned())),
            service: some("billing"),
            version: some("v1"),
            region: some("eu"),
            zone: some("eu-1"),
        }
    }

    fn read(text: &str) -> Baggage {
        Baggage::decode([text.as_bytes()])
    }

    #[test]
    fn everything_known_is_written_in_ztunnels_order() {
        assert_eq!(
            full().encode().unwrap(),
            "k8s.cluster.name=Kubernetes,k8s.namespace.name=shop,k8s.cronjob.name=bill,\
             service.name=billing,service.version=v1,cloud.region=eu,cloud.availability_zone=eu-1"
        );
    }

    #[test]
    fn what_is_written_is_read() {
        let mut odd = full();
        odd.service = Some("a,b;c=d %41\"\\\u{fc}\n".to_owned());
        let encoded = odd.encode().unwrap();
        let read = Baggage::decode([encoded.as_bytes()]);
        // A line break would forge a line of the access log.
        odd.service = None;
        assert_eq!(read, odd);
        odd.service = Some("a,b;c=d %41\"\\\u{fc}".to_owned());
        let encoded = odd.encode().unwrap();
        assert_eq!(Baggage::decode([encoded.as_bytes()]), odd);
    }

    #[test]
    fn what_is_unknown_or_empty_is_left_out() {
        assert_eq!(Baggage::default().encode(), None);
        let empty = Baggage {
            cluster: Some(String::new()),
            workload: Some((WorkloadKind::Pod, String::new())),
            zone: Some("z".to_owned()),
            ..Baggage::default()
        };
        assert_eq!(empty.encode().unwrap(), "cloud.availability_zone=z");
    }

    #[test]
    fn headers_add_up_and_the_last_entry_counts() {
        let values: [&[u8]; 3] = [
            b"k8s.namespace.name=a, k8s.pod.name = p ;x=y",
            b"\xff,k8s.cluster.name,=,,unknown=1,k8s.replicaset.name=r",
            b"k8s.namespace.name=b,service.name=,service.version=100%,cloud.region=a%2Cb",
        ];
        let baggage = Baggage {
            namespace: Some("b".to_owned()),
            workload: Some((WorkloadKind::Pod, "p".to_owned())),
            version: Some("100%".to_owned()),
            region: Some("a,b".to_owned()),
            ..Baggage::default()
        };
        assert_eq!(Baggage::decode(values), baggage);
    }

    #[test]
    fn a_flood_is_read_up_to_the_limits() {
        let many = format!("{}service.name=late", "a=b,".repeat(MOST_ENTRIES));
        assert_eq!(read(&many), Baggage::default());
        let many = format!("{}service.name=last", "a=b,".repeat(MOST_ENTRIES - 1));
        assert_eq!(read(&many).service.as_deref(), Some("last"));
        let long = "a".repeat(MOST_OCTETS);
        let values = [b"service.name=first".as_slice(), long.as_bytes()];
        assert_eq!(Baggage::decode(values).service.as_deref(), Some("first"));
        assert_eq!(
            read(&format!("{long}=b,service.name=x")),
            Baggage::default()
        );
    }

    #[test]
    fn no_octets_make_it_fail() {
        for value in ["%", "%4", "%zz", "%ff%fe", "a%00b", "%E2%82"] {
            let baggage = read(&format!("service.name={value}"));
            let kept = matches!(value, "%" | "%4" | "%zz");
            assert_eq!(baggage.service.as_deref(), kept.then_some(value));
        }
    }
}

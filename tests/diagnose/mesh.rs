//! A mesh of one authority, and how a report is shown in tests.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use ambient_identity::{Credentials, Roots};
use ambient_testkit::{Authority, ClientPolicy, Issued, Leaf, Script, Secured, Tunnel};
use kubectl_ambient::probe::{self, Options, Report, StepResult};

use crate::memory::{Memory, Met};

pub(crate) const SERVER: &str = "cluster.local/ns/shop/sa/db";
pub(crate) const CLIENT: &str = "cluster.local/ns/shop/sa/web";

/// Two certificates of one authority.
pub(crate) struct Mesh {
    pub(crate) authority: Authority,
    pub(crate) server: Issued,
    pub(crate) client: Issued,
}

impl Mesh {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("mesh");
        Self {
            server: authority.issue(&Leaf::of(SERVER)),
            client: authority.issue(&Leaf::of(CLIENT)),
            authority,
        }
    }

    /// Believes the authority, and shows nothing.
    pub(crate) fn options(&self) -> Options {
        Options {
            credentials: None,
            roots: Some(Roots::from_pem(self.authority.root().as_bytes()).unwrap()),
            expected: None,
            target: None,
            timeout: Duration::from_millis(500),
            sizes: Vec::new(),
        }
    }

    /// Shows a certificate too.
    pub(crate) fn with_certificate(&self) -> Options {
        let Issued { chain, key } = &self.client;
        let credentials = Credentials::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        Options {
            credentials: Some(credentials),
            ..self.options()
        }
    }

    /// Asks for a tunnel too.
    pub(crate) fn with_target(&self) -> Options {
        Options {
            target: Some("10.0.0.7:8080".parse().unwrap()),
            ..self.with_certificate()
        }
    }
}

/// Over TCP, which takes what time it takes.
pub(crate) async fn probe(address: SocketAddr, options: &Options) -> Report {
    let options = Options {
        timeout: Duration::from_secs(30),
        ..options.clone()
    };
    probe::run(address.to_string().parse().unwrap(), &options).await
}

/// In memory.
pub(crate) async fn report(turns: Vec<Script>, options: &Options) -> Report {
    let way = Memory::turns(vec![Met::Peer], turns);
    probe::run_through(&way, "peer".parse().unwrap(), options).await
}

/// The cause, and what was seen in each step but for times.
pub(crate) fn told(report: &Report) -> String {
    let mut text = format!("{}\n", report.cause.name());
    for step in report
        .steps
        .iter()
        .filter(|s| s.result != StepResult::Skipped)
    {
        let detail = step.detail.replace(&report.address.to_string(), "PEER");
        let (kind, result) = (step.kind.name(), step.result.name());
        _ = writeln!(text, "{kind} {result}: {detail}");
    }
    for warning in &report.warnings {
        _ = writeln!(text, "warning: {warning}");
    }
    text
}

pub(crate) async fn against(script: Script, options: &Options) -> String {
    told(&report(vec![script], options).await)
}

/// The last step that was tried.
pub(crate) async fn last(script: Script, options: &Options) -> String {
    let told = against(script, options).await;
    let mut lines = told.lines();
    let cause = lines.next().unwrap_or_default().to_owned();
    format!("{cause}: {}", lines.next_back().unwrap_or_default())
}

pub(crate) fn http2(mesh: &Mesh, tunnel: Tunnel) -> Script {
    Script::tls(&mesh.server, ClientPolicy::Required, Secured::Http2(tunnel))
}

/// The cause with what was seen, what else is to be told, and what to do.
pub(crate) async fn advised(script: Script, options: &Options) -> String {
    let report = report(vec![script], options).await;
    let mut tried = report
        .steps
        .iter()
        .filter(|s| s.result != StepResult::Skipped);
    let seen = tried.next_back().map_or("", |step| &step.detail);
    let mut text = format!("{}: {seen}\n", report.cause.name());
    for warning in &report.warnings {
        _ = writeln!(text, "  warning: {warning}");
    }
    _ = writeln!(text, "  {}", report.remedy());
    text
}

//! What is between the client and the server: nothing, our relays, or a pair of a peer.

mod envoy;
mod ztunnel;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ambient_facts::marks::RELAY;
use ambient_testkit::Authority;

use super::pods::{Pod, Process, SERVER, eventually};

/// The port of the server.
const PORT: u16 = 8080;

/// A client and a server, and what is between them.
#[derive(Debug)]
pub(super) struct Variant {
    pub(super) kind: Kind,
    pub(super) client: Pod,
    pub(super) proxies: Vec<Process>,
    _authorities: Vec<Process>,
    _server: Pod,
    _application: Process,
}

/// What may be between them.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Nothing.
    Direct,
    /// Our relays.
    Ours(PathBuf),
    /// Those of Istio.
    Ztunnel(PathBuf),
    /// Envoy that speaks HBONE.
    Envoy(PathBuf),
    /// Envoy that speaks mutual TLS, as sidecars do.
    Sidecar(PathBuf),
}

/// The two ends of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

/// Files and programs of all variants.
#[derive(Clone, Copy)]
pub(super) struct Setting<'s> {
    pub(super) folder: &'s Path,
    pub(super) authority: &'s Authority,
    /// This program.
    pub(super) own: &'s Path,
    /// Of each proxy.
    pub(super) threads: u32,
}

/// Where the server is.
pub(super) fn server() -> io::Result<SocketAddr> {
    format!("{SERVER}:{PORT}").parse().map_err(io::Error::other)
}

impl End {
    /// The name of the workload.
    fn name(self) -> &'static str {
        match self {
            Self::Client => "web",
            Self::Server => "echo",
        }
    }
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Ours(_) => "ours",
            Self::Ztunnel(_) => "ztunnel",
            Self::Envoy(_) => "envoy, HBONE",
            Self::Sidecar(_) => "envoy, sidecars",
        }
    }

    /// What its log has once it serves.
    pub(super) fn ready(&self) -> &'static str {
        match self {
            Self::Direct | Self::Ours(_) => "ready",
            Self::Ztunnel(_) => "marking server ready",
            Self::Envoy(_) | Self::Sidecar(_) => "starting workers",
        }
    }

    /// The authority that it asks in its pod, where it takes no folder.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn authority(
        &self,
        setting: &Setting<'_>,
        pod: &Pod,
    ) -> io::Result<Option<Process>> {
        let Self::Ztunnel(_) = self else {
            return Ok(None);
        };
        ztunnel::authority(setting, pod).map(Some)
    }

    /// The command that starts it at one end; `None` where there is nothing.
    ///
    /// # Errors
    ///
    /// When its files cannot be written.
    pub(super) fn command(
        &self,
        setting: &Setting<'_>,
        pod: &Pod,
        end: End,
    ) -> io::Result<Option<Command>> {
        let command = match self {
            Self::Direct => return Ok(None),
            Self::Ours(program) => ours(setting, program, pod, end)?,
            Self::Ztunnel(program) => ztunnel::command(setting, program, pod, end)?,
            Self::Envoy(program) => envoy::command(setting, program, false, pod, end)?,
            Self::Sidecar(program) => envoy::command(setting, program, true, pod, end)?,
        };
        Ok(Some(command))
    }

    fn start(&self, setting: &Setting<'_>, pod: &Pod, end: End) -> io::Result<Option<Process>> {
        let Some(mut command) = self.command(setting, pod, end)? else {
            return Ok(None);
        };
        pod.capture()?;
        let file = format!("{}-{}.log", self.name(), end.name());
        let log = setting.folder.join(file);
        let output = fs::File::create(&log)?;
        let process = Process::start_quietly(command.stderr(output.try_clone()?).stdout(output))?;
        let is_there = || fs::read_to_string(&log).is_ok_and(|log| log.contains(self.ready()));
        eventually(
            &format!("`{}` in `{}`", self.ready(), log.display()),
            is_there,
        )?;
        Ok(Some(process))
    }
}

impl Variant {
    /// Sets it up, with pods of its own.
    ///
    /// # Errors
    ///
    /// When something cannot be.
    pub(super) fn new(kind: Kind, setting: &Setting<'_>) -> io::Result<Self> {
        let (client, server) = (Pod::new()?, Pod::new()?);
        Pod::connect(&client, &server)?;
        let mut application = server.command();
        application
            .arg(setting.own)
            .args(["bench", "tunnel-answer"]);
        application
            .arg(format!("0.0.0.0:{PORT}"))
            .stderr(Stdio::null());
        let mut application = Process::start(&mut application)?;
        application.line()?;
        let (mut proxies, mut authorities) = (Vec::new(), Vec::new());
        for (pod, end) in [(&client, End::Client), (&server, End::Server)] {
            authorities.extend(kind.authority(setting, pod)?);
            proxies.extend(kind.start(setting, pod, end)?);
        }
        Ok(Self {
            kind,
            client,
            proxies,
            _authorities: authorities,
            _server: server,
            _application: application,
        })
    }

    /// A command of the client's application.
    pub(super) fn ask(&self, own: &Path) -> Command {
        let mut command = self.client.command();
        command.arg(own).args(["bench", "tunnel-ask"]);
        command
    }
}

fn ours(setting: &Setting<'_>, program: &Path, pod: &Pod, end: End) -> io::Result<Command> {
    let name = end.name();
    let mut command = pod.command();
    command
        .arg(program)
        .args(["ztunnel", "--mark", &RELAY.to_string(), "--workload"])
        .arg(format!("bench/{name}/{name}"))
        .arg("--snapshot")
        .arg(mesh(setting)?)
        .arg("--authority")
        .arg(setting.folder)
        .args(["--threads", &setting.threads.to_string()]);
    Ok(command)
}

/// What relays know, in a file that is written for them.
fn mesh(setting: &Setting<'_>) -> io::Result<PathBuf> {
    let path = setting.folder.join("mesh.yaml");
    fs::write(&path, MESH)?;
    Ok(path)
}

const MESH: &str = "workloads:
- {uid: c//Pod/bench/web, name: web, namespace: bench, serviceAccount: web, trustDomain: cluster.local, protocol: HBONE,
   workloadIps: [10.7.0.1], services: {}}
- {uid: c//Pod/bench/echo, name: echo, namespace: bench, serviceAccount: echo, trustDomain: cluster.local, protocol: HBONE,
   workloadIps: [10.7.0.2], services: {}}
";

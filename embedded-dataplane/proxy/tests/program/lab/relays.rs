//! The relays of the lab: ours, and Istio's with the authority that it needs.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use ambient_facts::files;
use ambient_testkit::Authority;

use super::{KEY, LISTEN, ROOT, Relay};
use crate::harness::{self, PROGRAM, Process};

/// Where the authority of one that takes no folder listens, in each pod.
const AUTHORITY: &str = "127.0.0.1:15012";

/// A pod of the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pod {
    Client,
    Server,
}

/// Where processes of a lab run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) folder: &'a Path,
    /// What runs something in the server's pod.
    pub(super) inside: &'a str,
}

impl Place<'_> {
    fn within(&self, pod: Pod, program: &Path) -> Command {
        match pod {
            Pod::Client => Command::new(program),
            Pod::Server => {
                let mut words = self.inside.split(' ');
                let mut command = Command::new(words.next().unwrap());
                command.args(words).arg(program);
                command
            }
        }
    }

    /// A test of this program as a process, which is told where to listen.
    fn played(&self, pod: Pod, test: &str, address: &str, log: &str) -> Process {
        let own = std::env::current_exe().unwrap();
        let mut command = self.within(pod, &own);
        command.args(["--exact", test, "--nocapture"]);
        command.env(LISTEN, address).stdout(Stdio::null());
        command.env(KEY, self.folder.join("authority/ca-key.pem"));
        Process::start(&mut command, self.folder.join(log))
    }

    /// The same, when it listens.
    pub(super) fn listening(&self, pod: Pod, test: &str, address: &str, log: &str) -> Process {
        let process = self.played(pod, test, address, log);
        process.logs("listening");
        process
    }

    /// Authorities for those that take no folder.
    pub(super) fn certify(&self, relays: [&Relay; 2]) -> Vec<Process> {
        let pods = [(Pod::Client, relays[0]), (Pod::Server, relays[1])];
        let pods = pods.into_iter();
        let pods = pods.filter(|(_, relay)| matches!(relay, Relay::Ztunnel(_)));
        let certify = |(pod, _)| {
            let log = format!("{pod:?}-authority");
            self.listening(pod, "lab::relays::certify", AUTHORITY, &log)
        };
        pods.map(certify).collect()
    }

    /// Whoever relays for a pod.
    pub(super) fn relay(&self, pod: Pod, kind: &Relay, arguments: &[&str]) -> Process {
        let name = match pod {
            Pod::Client => "web",
            Pod::Server => "db",
        };
        match kind {
            Relay::Ours => {
                let mut command = self.within(pod, PROGRAM.as_ref());
                command.args(["ztunnel"]).args(arguments);
                relay(self.folder, name, command, name)
            }
            Relay::OursWithin(many) => {
                let mut command = self.within(pod, "prlimit".as_ref());
                command.arg(format!("--nofile={many}:{many}"));
                command.args([PROGRAM, "ztunnel"]).args(arguments);
                relay(self.folder, name, command, name)
            }
            Relay::Ztunnel(program) => {
                let command = self.within(pod, program);
                ztunnel(self.folder, name, command, name)
            }
            Relay::Played(test) => self.played(pod, test, "0.0.0.0:15008", name),
        }
    }
}

/// The relay of a workload, with everything from a folder, on two threads.
pub(super) fn relay(folder: &Path, name: &str, mut command: Command, log: &str) -> Process {
    command
        .arg("--workload")
        .arg(format!("shop/{name}/{name}"))
        .arg("--snapshot")
        .arg(folder.join("mesh.yaml"))
        .arg("--authority")
        .arg(folder.join("authority"))
        .args(["--threads", "2", "--drain", "1s", "--handover"])
        .arg(folder.join(format!("{name}.socket")));
    Process::start(&mut command, folder.join(log))
}

/// Istio's, with the same file and an authority beside it (ztunnel `src/config.rs`).
pub(super) fn ztunnel(folder: &Path, name: &str, mut command: Command, log: &str) -> Process {
    let token = folder.join("var/run/secrets/tokens");
    fs::create_dir_all(&token).unwrap();
    fs::write(token.join("istio-token"), "token").unwrap();
    let log = folder.join(log);
    command
        .current_dir(folder)
        .env("PROXY_MODE", "dedicated")
        .env("PROXY_WORKLOAD_INFO", format!("shop/{name}/{name}"))
        .env("LOCAL_XDS_PATH", folder.join("mesh.yaml"))
        .env("XDS_ADDRESS", "")
        .env("PACKET_MARK", ambient_facts::marks::RELAY.to_string())
        .env(
            "CA_ADDRESS",
            format!("https://localhost:{}", &AUTHORITY[10..]),
        )
        .env("CA_ROOT_CA", folder.join(ROOT))
        .stdout(
            fs::File::options()
                .append(true)
                .create(true)
                .open(&log)
                .unwrap(),
        );
    Process::start(&mut command, log)
}

/// The authority of one that takes no folder.
#[test]
fn certify() {
    let (Some(address), Some(key)) = (std::env::var_os(LISTEN), std::env::var_os(KEY)) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(address.to_str().unwrap())
            .await
            .unwrap();
        _ = writeln!(std::io::stderr(), "listening");
        let roots = Path::new(&key).with_file_name(files::ROOTS);
        let key = fs::read_to_string(key).unwrap();
        let authority = Authority::again(harness::MESH, &key);
        let own = authority.root();
        let roots = move || fs::read_to_string(&roots).unwrap_or(own.clone());
        ambient_testkit::certify_with(listener, authority, roots).await;
    });
}

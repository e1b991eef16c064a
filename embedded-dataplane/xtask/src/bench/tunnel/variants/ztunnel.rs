//! Istio's ztunnel in dedicated mode, with the file that ours reads and an authority beside it.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use ambient_facts::marks::RELAY;

use super::{End, Setting, mesh};
use crate::bench::tunnel::pods::{Pod, Process};

/// Where its authority listens, in each pod.
const AUTHORITY: &str = "127.0.0.1:15012";

pub(super) fn authority(setting: &Setting<'_>, pod: &Pod) -> io::Result<Process> {
    let mut command = pod.command();
    command
        .arg(setting.own)
        .args(["bench", "tunnel-certify", AUTHORITY])
        .arg(setting.folder.join("ca-key.pem"))
        .stderr(Stdio::null());
    let mut process = Process::start(&mut command)?;
    process.line()?;
    Ok(process)
}

/// The settings are those of ztunnel's `src/config.rs`.
pub(super) fn command(
    setting: &Setting<'_>,
    program: &Path,
    pod: &Pod,
    end: End,
) -> io::Result<Command> {
    let name = end.name();
    let token = setting.folder.join("var/run/secrets/tokens/istio-token");
    fs::create_dir_all(token.with_file_name(""))?;
    fs::write(token, "token")?;
    let mut command = pod.command();
    command
        .arg(program)
        .current_dir(setting.folder)
        .env("PROXY_MODE", "dedicated")
        .env("PROXY_WORKLOAD_INFO", format!("bench/{name}/{name}"))
        .env("LOCAL_XDS_PATH", mesh(setting)?)
        .env("XDS_ADDRESS", "")
        .env("PACKET_MARK", RELAY.to_string())
        .env("CA_ADDRESS", "https://localhost:15012")
        .env("CA_ROOT_CA", setting.folder.join("ca-cert.pem"))
        .env("ISTIO_META_DNS_CAPTURE", "false")
        .env("ZTUNNEL_WORKER_THREADS", setting.threads.to_string());
    Ok(command)
}

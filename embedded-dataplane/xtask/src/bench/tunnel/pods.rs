//! Pods: network namespaces with a cable between two of them, and the rules of Istio's node agent.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// What a program is told by that it runs in namespaces of its own.
const INSIDE: &str = "AMBIENT_BENCH_INSIDE";

/// The longest that anything is waited for.
const LONG: Duration = Duration::from_secs(20);

/// Of the client.
pub(super) const CLIENT: &str = "10.7.0.1";
/// Of the server.
pub(super) const SERVER: &str = "10.7.0.2";

/// What leads connections of a pod to its proxy (istio `cni/pkg/iptables`), as nft says it.
const CAPTURE: &str = "
set -e
ip rule add fwmark 0x111/0xfff pref 32764 lookup 100
ip route add local 0.0.0.0/0 dev lo table 100
nft -f - <<'END'
table ip ambient {
  chain mangle_prerouting {
    type filter hook prerouting priority mangle
    meta mark & 0xfff == 0x539 ct mark set 0x111
  }
  chain mangle_output {
    type route hook output priority mangle
    ct mark & 0xfff == 0x111 meta mark set ct mark
  }
  chain prerouting {
    type nat hook prerouting priority dstnat
    ip daddr 127.0.0.1 accept
    tcp dport != TUNNEL meta mark & 0xfff != 0x539 redirect to :PLAINTEXT
  }
  chain output {
    type nat hook output priority -100
    meta mark & 0xfff == 0x111 accept
    oifname \"lo\" accept
    meta l4proto tcp meta mark & 0xfff != 0x539 redirect to :OUTBOUND
  }
}
END
";

/// What every pod needs before it has a cable.
const PREPARE: &str = "
ip link set lo up
for i in all default lo; do echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter; done
echo '10000 65000' >/proc/sys/net/ipv4/ip_local_port_range
echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse
echo 4096 >/proc/sys/net/core/somaxconn
echo cubic >/proc/sys/net/ipv4/tcp_congestion_control 2>/dev/null
true
";

/// Runs this program again in a namespace of its own, where it may make others. Nothing where it
/// does already.
///
/// # Errors
///
/// When that cannot be done, or it fails there.
pub(super) fn go_inside() -> io::Result<Option<()>> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(Some(()));
    }
    let own = std::env::current_exe()?;
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    for way in ways {
        let tools = "ip -V && nft --version && nsenter --version";
        let mut check = Command::new("unshare");
        check.args(way).args(["sh", "-c", tools]);
        if !check.output().is_ok_and(|output| output.status.success()) {
            continue;
        }
        let mut again = Command::new("unshare");
        again.env(INSIDE, "1").args(way).arg(own);
        let status = again.args(std::env::args_os().skip(1)).status()?;
        return if status.success() {
            Ok(None)
        } else {
            Err(io::Error::other(
                "the benchmark failed inside of its namespace",
            ))
        };
    }
    let needs = "needs `unshare`, `nsenter`, `ip` and `nft`, and root or user namespaces";
    Err(io::Error::other(needs))
}

/// A pod, as long as this is kept.
#[derive(Debug)]
pub(super) struct Pod {
    holder: Process,
}

/// A program that is killed with its owner.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a program whose lines are read.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().map(BufReader::new);
        Ok(Self { child, lines })
    }

    /// Starts a program that writes where its command says.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub(super) fn start_quietly(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        Ok(Self { child, lines: None })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says.
    ///
    /// # Errors
    ///
    /// When it says no more.
    pub(super) fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if let Some(lines) = &mut self.lines {
            lines.read_line(&mut line)?;
        }
        if line.is_empty() {
            return Err(io::Error::other(
                "a program of the benchmark has ended early",
            ));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Pod {
    /// Makes a pod without a cable.
    ///
    /// # Errors
    ///
    /// When the system does not let it be made.
    pub(super) fn new() -> io::Result<Self> {
        let mut sleep = Command::new("unshare");
        let holder = Process::start(sleep.args(["--net", "sleep", "100000"]))?;
        let pod = Self { holder };
        let own = fs::read_link("/proc/self/ns/net")?;
        let theirs = format!("/proc/{}/ns/net", pod.holder.id());
        eventually("a pod has its namespace", || {
            fs::read_link(&theirs).is_ok_and(|there| there != own)
        })?;
        pod.shell(PREPARE)?;
        Ok(pod)
    }

    /// Leads connections of the pod to its proxy.
    ///
    /// # Errors
    ///
    /// When the rules cannot be set.
    pub(super) fn capture(&self) -> io::Result<()> {
        use ambient_facts::ports::{HBONE_TEXT, INBOUND_PLAINTEXT, OUTBOUND};
        let rules = CAPTURE
            .replace("TUNNEL", HBONE_TEXT)
            .replace("PLAINTEXT", &INBOUND_PLAINTEXT.to_string())
            .replace("OUTBOUND", &OUTBOUND.to_string());
        self.shell(&rules)
    }

    /// A cable between a client and a server.
    ///
    /// # Errors
    ///
    /// When it cannot be laid.
    pub(super) fn connect(client: &Self, server: &Self) -> io::Result<()> {
        let (one, other) = (client.holder.id(), server.holder.id());
        let cable = format!("ip link add c0 netns {one} type veth peer name s0 netns {other}");
        run(Command::new("sh").args(["-c", &cable]))?;
        for (pod, address, end) in [(client, CLIENT, "c0"), (server, SERVER, "s0")] {
            pod.shell(&format!(
                "set -e; ip addr add {address}/24 dev {end}; ip link set {end} up
                 echo 0 >/proc/sys/net/ipv4/conf/{end}/rp_filter"
            ))?;
        }
        Ok(())
    }

    /// A command that runs in the pod.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net"]);
        command
    }

    /// What a script in the pod says.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub(super) fn asks(&self, script: &str) -> io::Result<String> {
        run(self.command().args(["sh", "-c", script]))
    }

    fn shell(&self, script: &str) -> io::Result<()> {
        self.asks(script).map(|_| ())
    }
}

fn run(command: &mut Command) -> io::Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{command:?}: {errors}")))
}

/// Waits until something is so.
///
/// # Errors
///
/// When it is not in time.
#[expect(
    clippy::disallowed_methods,
    reason = "another process tells of no event"
)]
pub(super) fn eventually(what: &str, is_so: impl Fn() -> bool) -> io::Result<()> {
    let start = Instant::now();
    while !is_so() {
        if start.elapsed() > LONG {
            return Err(io::Error::other(format!("{what}: not in time")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

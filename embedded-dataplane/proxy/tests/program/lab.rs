//! Two pods: network namespaces with a cable between them, and in each the rules of Istio's node agent
//! and the program. Needs `unshare`, `nsenter`, `ip` and `nft`, and root or a kernel that lets users
//! have namespaces.
//!
//! Each test runs itself again inside of the first namespace, and the applications of the second are
//! the test [`application`](crate::application), which does nothing unless it is told to.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ambient_testkit::Authority;

use crate::harness::{self, PROGRAM, Process, authority};

/// Tells a test that it is inside.
pub(crate) const INSIDE: &str = "AMBIENT_TEST_INSIDE";
/// Tells the application where to listen.
pub(crate) const LISTEN: &str = "AMBIENT_TEST_LISTEN";
/// Tells an authority where its key is.
pub(crate) const KEY: &str = "AMBIENT_TEST_KEY";

/// Where the authority of one that takes no folder listens, in each pod.
const AUTHORITY: &str = "127.0.0.1:15012";

pub(crate) const CLIENT: &str = "10.7.0.1";
pub(crate) const SERVER: &str = "10.7.0.2";
pub(crate) const CLIENT6: &str = "fd00:7::1";
pub(crate) const SERVER6: &str = "fd00:7::2";
/// The service of the server.
pub(crate) const SERVICE: &str = "10.9.0.1";

const MESH: &str = "workloads:
- {uid: c//Pod/shop/web, name: web, namespace: shop, serviceAccount: web, trustDomain: cluster.local, protocol: HBONE,
   workloadIps: [10.7.0.1, 'fd00:7::1'], services: {}}
- {uid: c//Pod/shop/db, name: db, namespace: shop, serviceAccount: db, trustDomain: cluster.local, protocol: HBONE,
   workloadIps: [10.7.0.2, 'fd00:7::2'], services: {shop/db.shop: {80: 8080}}}
services:
- {name: db, namespace: shop, hostname: db.shop, vips: [/10.9.0.1], ports: {80: 8080}}
";

/// What Istio's node agent sets up in a pod (istio `cni/pkg/iptables`), as nft says it; how inbound
/// connections are led comes in between.
const CAPTURE: &str = "
set -e
ip link set lo up
for family in -4 -6; do
  ip $family rule add fwmark 0x111/0xfff pref 32764 lookup 100
done
ip -4 route add local 0.0.0.0/0 dev lo table 100
ip -6 route add local ::/0 dev lo table 100
nft -f - <<'END'
table inet ambient {
  chain mangle_prerouting {
    type filter hook prerouting priority mangle
    meta mark & 0xfff == 0x539 ct mark set 0x111
    INBOUND_AS_IT_WAS
  }
  chain mangle_output {
    type route hook output priority mangle
    ct mark & 0xfff == 0x111 meta mark set ct mark
  }
  chain prerouting {
    type nat hook prerouting priority dstnat
    meta l4proto tcp ip daddr 127.0.0.1 accept
    meta l4proto tcp ip6 daddr ::1 accept
    INBOUND_REDIRECTED
  }
  chain output {
    type nat hook output priority -100
    meta mark & 0xfff == 0x111 accept
    oifname \"lo\" accept
    meta l4proto tcp meta mark & 0xfff != 0x539 redirect to :15001
  }
}
END
";

/// How connections to a pod are led to its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inbound {
    /// With another destination, as Istio does it.
    Redirected,
    /// As they were (TPROXY).
    AsItWas,
}

impl Inbound {
    fn capture(self) -> String {
        let redirected = "tcp dport != 15008 meta mark & 0xfff != 0x539 redirect to :15006";
        let as_it_was = "iifname \"lo\" accept
    tcp dport 15008 accept
    meta l4proto tcp socket transparent 1 meta mark set 0x111 accept
    meta l4proto tcp meta mark & 0xfff != 0x539 tproxy to :15006 meta mark set 0x111 accept";
        let (redirected, as_it_was) = match self {
            Self::Redirected => (redirected, ""),
            Self::AsItWas => ("", as_it_was),
        };
        let capture = CAPTURE.replace("INBOUND_REDIRECTED", redirected);
        capture.replace("INBOUND_AS_IT_WAS", as_it_was)
    }
}

/// Who relays for a pod.
#[derive(Debug, Clone)]
pub(crate) enum Relay {
    Ours,
    /// Ours, with so many descriptors.
    OursWithin(usize),
    /// Istio's ztunnel, this program.
    Ztunnel(PathBuf),
    /// None; a server that takes tunnels itself.
    Server,
}

impl Relay {
    /// Ours, unless `AMBIENT_TEST_RELAY` names the program of a ztunnel to be tested in its place.
    fn chosen() -> Self {
        let other = std::env::var_os("AMBIENT_TEST_RELAY");
        other.map_or(Self::Ours, |program| Self::Ztunnel(program.into()))
    }
}

/// Runs the test that calls it in a namespace of its own; `false` where it is to go on, inside.
pub(crate) fn is_outside(test: &str) -> bool {
    is_outside_of(&format!("namespaces::{test}"))
}

/// The same by the path of the test.
pub(crate) fn is_outside_of(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let run = |way: &[&str], words: &[&str]| -> Option<Output> {
        let mut command = Command::new("unshare");
        command.env(INSIDE, "1").args(way).args(words).output().ok()
    };
    let succeeds = |way: &[&str], words: &[&str]| {
        run(way, words).is_some_and(|output| output.status.success())
    };
    let tools: [&[&str]; 3] = [
        &["nft", "--version"],
        &["ip", "-V"],
        &["nsenter", "--version"],
    ];
    let way = ways.into_iter().find(|way| succeeds(way, &["true"]));
    let way = way.filter(|way| tools.iter().all(|tool| succeeds(way, tool)));
    let Some(way) = way else {
        let reason = format!("{test} needs unshare, nsenter, ip and nft");
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        _ = writeln!(std::io::stderr(), "skipped: {reason}");
        return true;
    };
    let own = std::env::current_exe().unwrap();
    let words = [own.to_str().unwrap(), "--exact", test, "--nocapture"];
    let output = run(way, &words).unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "inside:\n{told}\n{errors}");
    assert!(told.contains("1 passed"), "{told}");
    true
}

fn shell(script: &str) {
    let output = Command::new("sh").args(["-c", script]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}\n{errors}");
}

/// Two pods with their relays, and two applications in the second.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
    pub(crate) client: Process,
    pub(crate) server: Process,
    _applications: Vec<Process>,
    /// Holds the second namespace.
    _pod: Process,
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(Inbound::Redirected, "32768 60999")
    }

    /// With these that relay, for the client and for the server.
    pub(crate) fn with_relays(relays: [&Relay; 2]) -> Self {
        Self::with_all(Inbound::Redirected, "32768 60999", relays)
    }

    /// With another way to lead connections to the server.
    pub(crate) fn with_inbound(inbound: Inbound) -> Self {
        Self::with(inbound, "32768 60999")
    }

    /// With a range of ports that the kernel chooses from in both pods.
    pub(crate) fn with_ports(ports: &str) -> Self {
        Self::with(Inbound::Redirected, ports)
    }

    fn with(inbound: Inbound, ports: &str) -> Self {
        let relay = Relay::chosen();
        Self::with_all(inbound, ports, [&relay, &relay])
    }

    fn with_all(inbound: Inbound, ports: &str, relays: [&Relay; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sleep = Command::new("unshare");
        let pod = Process::start(
            sleep.args(["--net", "sleep", "1000"]),
            folder.path().join("pod"),
        );
        let inside = format!("nsenter --target {} --net", pod.id());
        // It has a namespace of its own as soon as that is another than this one.
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        crate::harness::eventually("the pod has a namespace", || {
            fs::read_link(format!("/proc/{}/ns/net", pod.id())).is_ok_and(|other| other != own)
        });
        shell(&Inbound::Redirected.capture());
        let rules = inbound.capture().replace('\'', "'\\''");
        shell(&format!("{inside} sh -c '{rules}'"));
        shell(&format!(
            "set -e
             ip link add c0 type veth peer name s0 netns {}
             ip addr add {CLIENT}/24 dev c0
             ip addr add {CLIENT6}/64 dev c0 nodad
             ip link set c0 up
             ip route add 10.9.0.0/24 via {SERVER}
             {inside} ip addr add {SERVER}/24 dev s0
             {inside} ip addr add {SERVER6}/64 dev s0 nodad
             {inside} ip link set s0 up
             for i in all default lo; do
               echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter
               {inside} sh -c \"echo 0 >/proc/sys/net/ipv4/conf/$i/rp_filter\"
             done
             {inside} sh -c 'echo 0 >/proc/sys/net/ipv4/conf/s0/rp_filter'
             echo {ports} >/proc/sys/net/ipv4/ip_local_port_range
             echo 1 >/proc/sys/net/ipv4/tcp_reflect_tos
             {inside} sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_reflect_tos'
             {inside} sh -c 'echo {ports} >/proc/sys/net/ipv4/ip_local_port_range'",
            pod.id()
        ));
        fs::write(folder.path().join("mesh.yaml"), MESH).unwrap();
        authority(folder.path());
        let there = |program: &Path| {
            let mut words = inside.split(' ');
            let mut command = Command::new(words.next().unwrap());
            command.args(words).arg(program);
            command
        };
        let own = std::env::current_exe().unwrap();
        let listening = |mut command: Command, test: &str, address: &str, log: &str| {
            command.args(["--exact", test, "--nocapture"]);
            command.env(LISTEN, address).stdout(Stdio::null());
            command.env(KEY, folder.path().join("authority/ca-key.pem"));
            let process = Process::start(&mut command, folder.path().join(log));
            process.logs("listening");
            process
        };
        let mut applications = vec![
            listening(there(&own), "application::application", "[::]:8080", "8080"),
            listening(there(&own), "application::application", "[::]:8081", "8081"),
        ];
        let mut start = |name: &str, kind: &Relay, within: &dyn Fn(&Path) -> Command| match kind {
            Relay::Ours => relay(folder.path(), name, within(PROGRAM.as_ref()), name),
            Relay::OursWithin(many) => {
                let mut command = within("prlimit".as_ref());
                command.arg(format!("--nofile={many}:{many}")).arg(PROGRAM);
                relay(folder.path(), name, command, name)
            }
            Relay::Ztunnel(program) => {
                let log = format!("{name}-authority");
                let authority = listening(within(&own), "lab::certify", AUTHORITY, &log);
                applications.push(authority);
                ztunnel(folder.path(), name, within(program))
            }
            Relay::Server => {
                let mut command = within(&own);
                command.args(["--exact", "conformance::outbound::server", "--nocapture"]);
                command.env(LISTEN, "0.0.0.0:15008").stdout(Stdio::null());
                command.env(KEY, folder.path().join("authority/ca-key.pem"));
                Process::start(&mut command, folder.path().join(name))
            }
        };
        let client = start("web", relays[0], &|program| Command::new(program));
        let server = start("db", relays[1], &there);
        client.logs("ready");
        server.logs("ready");
        Self {
            client,
            server,
            _applications: applications,
            folder,
            _pod: pod,
        }
    }

    /// Another relay for the client, which takes over from the one there is.
    pub(crate) fn successor(&self, log: &str) -> Process {
        let successor = relay(self.folder.path(), "web", Command::new(PROGRAM), log);
        successor.logs("ready");
        successor
    }

    /// Where the files of its relays are.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Connects as the client's application.
    pub(crate) fn connect(&self, to: &str) -> TcpStream {
        let stream = TcpStream::connect(to);
        stream
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.client.log(), self.server.log()))
    }
}

/// The relay of a workload, with everything from a folder.
fn relay(folder: &Path, name: &str, mut command: Command, log: &str) -> Process {
    command
        .args(["ztunnel", "--workload"])
        .arg(format!("shop/{name}/{name}"))
        .arg("--snapshot")
        .arg(folder.join("mesh.yaml"))
        .arg("--authority")
        .arg(folder.join("authority"))
        .args(["--drain", "1s", "--handover"])
        .arg(folder.join(format!("{name}.socket")));
    Process::start(&mut command, folder.join(log))
}

/// Istio's, with the same file and an authority beside it (ztunnel `src/config.rs`).
fn ztunnel(folder: &Path, name: &str, mut command: Command) -> Process {
    let token = folder.join("var/run/secrets/tokens");
    fs::create_dir_all(&token).unwrap();
    fs::write(token.join("istio-token"), "token").unwrap();
    let log = folder.join(name);
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
        .env("CA_ROOT_CA", folder.join("authority/ca-cert.pem"))
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
        let key = fs::read_to_string(key).unwrap();
        ambient_testkit::certify(listener, Authority::again(harness::MESH, &key)).await;
    });
}

/// Whom the application sees.
pub(crate) fn seen(stream: &mut TcpStream) -> IpAddr {
    let line = first_line(stream);
    line.split(' ').next().unwrap().parse().unwrap()
}

/// What the application says at first.
pub(crate) fn first_line(stream: &mut TcpStream) -> String {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut line = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet).unwrap() == 1 && octet != *b"\n" {
        line.extend(octet);
    }
    String::from_utf8(line).unwrap()
}

/// Connects with packets of a class.
pub(crate) fn of_class(to: &str, class: u32, mark: u32) -> TcpStream {
    let address: SocketAddr = to.parse().unwrap();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_tos_v4(class).unwrap();
    socket.set_mark(mark).unwrap();
    socket.connect(&address.into()).unwrap();
    socket.into()
}

/// Connects past the rules of the client's pod, as somebody outside of the mesh; from port 0 the kernel
/// chooses.
pub(crate) fn from_outside(to: &str, port: u16) -> TcpStream {
    let address: SocketAddr = to.parse().unwrap();
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    socket.set_mark(ambient_facts::marks::RELAY).unwrap();
    if port != 0 {
        let own: IpAddr = CLIENT.parse().unwrap();
        socket.bind(&SocketAddr::new(own, port).into()).unwrap();
    }
    socket.connect(&address.into()).unwrap();
    socket.into()
}

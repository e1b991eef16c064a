//! Two pods: network namespaces with a cable between them, and in each the rules of Istio's node agent
//! and the program. Needs `unshare`, `nsenter`, `ip` and `nft`, and root or a kernel that lets users
//! have namespaces.
//!
//! Each test runs itself again inside of the first namespace, and the applications of the second are
//! the test [`application`](crate::application), which does nothing unless it is told to.

mod relays;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::{PROGRAM, Process, authority, eventually};

use relays::{Place, Pod};

/// Tells a test that it is inside.
pub(crate) const INSIDE: &str = "AMBIENT_TEST_INSIDE";
/// Tells the application where to listen.
pub(crate) const LISTEN: &str = "AMBIENT_TEST_LISTEN";
/// Tells an authority where its key is.
pub(crate) const KEY: &str = "AMBIENT_TEST_KEY";

/// The certificate of the authority, wherever that is.
const ROOT: &str = "root.pem";
/// Where the authority is that is not there yet.
const AWAY: &str = "away";

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
    /// None; this test is a server that takes tunnels itself.
    Played(&'static str),
}

/// What a lab is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) inbound: Inbound,
    /// What the kernel chooses ports from in both pods.
    pub(crate) ports: &'a str,
    /// For the client and for the server.
    pub(crate) relays: [&'a Relay; 2],
    /// Further arguments of ours.
    pub(crate) arguments: &'a [&'a str],
    /// Whether there is an authority from the beginning.
    pub(crate) has_authority: bool,
}

impl<'a> Setup<'a> {
    /// The usual one, with these that relay.
    pub(crate) fn of(relays: [&'a Relay; 2]) -> Self {
        Self {
            inbound: Inbound::Redirected,
            ports: "32768 60999",
            relays,
            arguments: &[],
            has_authority: true,
        }
    }
}

impl Relay {
    /// Ours, unless `AMBIENT_TEST_RELAY` names the program of a ztunnel to be tested in its place.
    pub(crate) fn chosen() -> Self {
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

/// What runs the words after it in the namespace of a process.
fn within(pod: &Process) -> String {
    format!("nsenter --target {} --net", pod.id())
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
    /// Applications and authorities.
    others: Vec<Process>,
    /// Holds the second namespace.
    pod: Process,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let relay = Relay::chosen();
        Self::with(Setup::of([&relay, &relay]))
    }

    /// With these that relay, for the client and for the server.
    pub(crate) fn with_relays(relays: [&Relay; 2]) -> Self {
        Self::with(Setup::of(relays))
    }

    /// With another way to lead connections to the server.
    pub(crate) fn with_inbound(inbound: Inbound) -> Self {
        let relay = Relay::chosen();
        Self::with(Setup {
            inbound,
            ..Setup::of([&relay, &relay])
        })
    }

    /// With a range of ports that the kernel chooses from in both pods.
    pub(crate) fn with_ports(ports: &str) -> Self {
        let relay = Relay::chosen();
        Self::with(Setup {
            ports,
            ..Setup::of([&relay, &relay])
        })
    }

    /// Such a one.
    pub(crate) fn with(setup: Setup<'_>) -> Self {
        let Setup { inbound, ports, .. } = setup;
        let folder = tempfile::tempdir().unwrap();
        let mut sleep = Command::new("unshare");
        let pod = Process::start(
            sleep.args(["--net", "sleep", "1000"]),
            folder.path().join("pod"),
        );
        let inside = within(&pod);
        // It has a namespace of its own as soon as that is another than this one.
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        eventually("the pod has a namespace", || {
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
        let authority = authority(folder.path());
        // It is believed from the beginning.
        fs::copy(authority.join("ca-cert.pem"), folder.path().join(ROOT)).unwrap();
        let place = Place {
            folder: folder.path(),
            inside: &inside,
        };
        let mut others = vec![
            place.listening(Pod::Server, "application::application", "[::]:8080", "8080"),
            place.listening(Pod::Server, "application::application", "[::]:8081", "8081"),
        ];
        if setup.has_authority {
            others.extend(place.certify(setup.relays));
        } else {
            fs::rename(authority, folder.path().join(AWAY)).unwrap();
        }
        let [client, server] = [Pod::Client, Pod::Server];
        let client = place.relay(client, setup.relays[0], setup.arguments);
        let server = place.relay(server, setup.relays[1], setup.arguments);
        client.logs("ready");
        server.logs("ready");
        Self {
            folder,
            client,
            server,
            others,
            pod,
        }
    }

    /// Brings the authority that was not there.
    pub(crate) fn found_authority(&mut self, relays: [&Relay; 2]) {
        let folder = self.folder.path();
        fs::rename(folder.join(AWAY), folder.join("authority")).unwrap();
        let inside = within(&self.pod);
        let place = Place {
            folder,
            inside: &inside,
        };
        self.others.extend(place.certify(relays));
    }

    /// Another relay for the client, which takes over from the one there is.
    pub(crate) fn successor(&self, log: &str) -> Process {
        let folder = self.folder.path();
        let successor = if let Relay::Ztunnel(program) = Relay::chosen() {
            // Two at a time cannot listen, and nothing is handed over.
            self.client.terminate();
            eventually("the first has ended", || {
                TcpStream::connect("127.0.0.1:15021").is_err()
            });
            relays::ztunnel(folder, "web", Command::new(program), log)
        } else {
            let mut command = Command::new(PROGRAM);
            command.arg("ztunnel");
            relays::relay(folder, "web", command, log)
        };
        successor.logs("ready");
        successor
    }

    /// Runs a script in the server's pod.
    pub(crate) fn in_server(&self, script: &str) {
        let script = script.replace('\'', "'\\''");
        shell(&format!("{} sh -c '{script}'", within(&self.pod)));
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

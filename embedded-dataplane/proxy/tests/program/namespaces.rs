//! Two pods: network namespaces with a cable between them, and in each the rules of Istio's node agent
//! and the program. Needs `unshare`, `nsenter`, `ip` and `nft`, and root or a kernel that lets users
//! have namespaces.
//!
//! Each test runs itself again inside of the first namespace, and the applications of the second are
//! the test [`application`], which does nothing unless it is told to.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{PROGRAM, Process, authority, get};

/// Tells a test that it is inside.
const INSIDE: &str = "AMBIENT_TEST_INSIDE";
/// Tells the application where to listen.
const LISTEN: &str = "AMBIENT_TEST_LISTEN";

const CLIENT: &str = "10.7.0.1";
const SERVER: &str = "10.7.0.2";
const CLIENT6: &str = "fd00:7::1";
const SERVER6: &str = "fd00:7::2";
/// The service of the server.
const SERVICE: &str = "10.9.0.1";

const MESH: &str = "workloads:
- {uid: c//Pod/shop/web, name: web, namespace: shop, serviceAccount: web, protocol: HBONE,
   workloadIps: [10.7.0.1, 'fd00:7::1'], services: {}}
- {uid: c//Pod/shop/db, name: db, namespace: shop, serviceAccount: db, protocol: HBONE,
   workloadIps: [10.7.0.2, 'fd00:7::2'], services: {shop/db.shop: {80: 8080}}}
services:
- {name: db, namespace: shop, hostname: db.shop, vips: [/10.9.0.1], ports: {80: 8080}}
";

/// What Istio's node agent sets up in a pod (istio `cni/pkg/iptables`), as nft says it.
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
  }
  chain mangle_output {
    type route hook output priority mangle
    ct mark & 0xfff == 0x111 meta mark set ct mark
  }
  chain prerouting {
    type nat hook prerouting priority dstnat
    meta l4proto tcp ip daddr 127.0.0.1 accept
    meta l4proto tcp ip6 daddr ::1 accept
    tcp dport != 15008 meta mark & 0xfff != 0x539 redirect to :15006
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

/// Runs the test that calls it in a namespace of its own; `false` where it is to go on, inside.
fn is_outside(test: &str) -> bool {
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
    let name = format!("namespaces::{test}");
    let words = [own.to_str().unwrap(), "--exact", &name, "--nocapture"];
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
struct Lab {
    _folder: tempfile::TempDir,
    client: Process,
    server: Process,
    _applications: Vec<Process>,
    /// Holds the second namespace.
    _pod: Process,
}

impl Lab {
    fn new() -> Self {
        Self::with_ports("32768 60999")
    }

    /// With a range of ports that the kernel chooses from in both pods.
    fn with_ports(ports: &str) -> Self {
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
        shell(CAPTURE);
        shell(&format!(
            "{inside} sh -c '{}'",
            CAPTURE.replace('\'', "'\\''")
        ));
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
             {inside} sh -c 'echo {ports} >/proc/sys/net/ipv4/ip_local_port_range'",
            pod.id()
        ));
        let mesh = folder.path().join("mesh.yaml");
        fs::write(&mesh, MESH).unwrap();
        let authority = authority(folder.path());
        let relay = |name: &str, mut command: Command| {
            command
                .args(["ztunnel", "--mark", "0x539", "--workload"])
                .arg(format!("shop/{name}/{name}"))
                .arg("--snapshot")
                .arg(&mesh)
                .arg("--authority")
                .arg(&authority);
            Process::start(&mut command, folder.path().join(name))
        };
        let there = |program: &Path| {
            let mut words = inside.split(' ');
            let mut command = Command::new(words.next().unwrap());
            command.args(words).arg(program);
            command
        };
        let client = relay("web", Command::new(PROGRAM));
        let server = relay("db", there(PROGRAM.as_ref()));
        let own = std::env::current_exe().unwrap();
        let applications = ["8080", "8081"].map(|port| {
            let mut command = there(&own);
            command.args(["--exact", "namespaces::application", "--nocapture"]);
            command
                .env(LISTEN, format!("[::]:{port}"))
                .stdout(Stdio::null());
            Process::start(&mut command, folder.path().join(port))
        });
        client.logs("ready");
        server.logs("ready");
        for application in &applications {
            application.logs("listening");
        }
        Self {
            _folder: folder,
            client,
            server,
            _applications: applications.into(),
            _pod: pod,
        }
    }

    /// Connects as the client's application.
    fn connect(&self, to: &str) -> TcpStream {
        let stream = TcpStream::connect(to);
        stream
            .unwrap_or_else(|error| panic!("{error}\n{}\n{}", self.client.log(), self.server.log()))
    }
}

/// An application that tells who it takes its client for, and then sends back what it gets.
#[test]
fn application() {
    let Some(address) = std::env::var_os(LISTEN) else {
        return;
    };
    let address: SocketAddr = address.to_str().unwrap().parse().unwrap();
    let listener = TcpListener::bind(address).unwrap();
    _ = writeln!(std::io::stderr(), "listening");
    loop {
        let (mut stream, client) = listener.accept().unwrap();
        // One thread each would be many.
        if client.port() == 0 {
            return;
        }
        _ = writeln!(stream, "{}", client.ip().to_canonical());
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                _ = std::io::copy(&mut &stream, &mut &stream);
                _ = stream.shutdown(std::net::Shutdown::Both);
            })
            .unwrap();
    }
}

/// The first line, which tells whom the application sees.
fn seen(stream: &mut TcpStream) -> IpAddr {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut line = Vec::new();
    let mut octet = [0];
    while stream.read(&mut octet).unwrap() == 1 && octet != *b"\n" {
        line.extend(octet);
    }
    String::from_utf8(line).unwrap().parse().unwrap()
}

/// Connects past the rules of the client's pod, as somebody outside of the mesh; from port 0 the kernel
/// chooses.
fn from_outside(to: &str, port: u16) -> TcpStream {
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

#[test]
fn traffic_that_rules_lead_to_relays_arrives_as_if_there_were_none() {
    if is_outside("traffic_that_rules_lead_to_relays_arrives_as_if_there_were_none") {
        return;
    }
    let lab = Lab::new();
    for (to, client) in [
        (format!("{SERVER}:8080"), CLIENT),
        (format!("[{SERVER6}]:8080"), CLIENT6),
        (format!("{SERVICE}:80"), CLIENT),
    ] {
        let mut stream = lab.connect(&to);
        assert_eq!(seen(&mut stream), client.parse::<IpAddr>().unwrap(), "{to}");
        stream.write_all(b"hello").unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "hello", "{to}");
    }
    // In the clear, from who is not captured.
    for (to, client) in [
        (format!("{SERVER}:8080"), CLIENT),
        (format!("[{SERVER6}]:8081"), CLIENT6),
    ] {
        let mut stream = from_outside(&to, 0);
        assert_eq!(seen(&mut stream), client.parse::<IpAddr>().unwrap(), "{to}");
    }
    // An application that does not listen refuses, as it would without relays.
    let mut stream = lab.connect(&format!("{SERVER}:9999"));
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    // The relays say that it went through tunnels, and who was there.
    let metrics = get(([127, 0, 0, 1], 15020).into(), "/metrics").unwrap();
    let tunnelled = metrics.lines().find(|line| {
        line.starts_with("istio_tcp_connections_opened_total{")
            && line.contains("connection_security_policy=\"mutual_tls\"")
            && line.contains("destination_service=\"db.shop\"")
    });
    assert!(tunnelled.is_some(), "{metrics}");
    lab.server
        .logs("src.identity=\"spiffe://cluster.local/ns/shop/sa/web\"");
}

#[test]
fn a_client_that_connects_again_and_again_meets_the_application_and_not_the_relay() {
    if is_outside("a_client_that_connects_again_and_again_meets_the_application_and_not_the_relay")
    {
        return;
    }
    // Few ports, so that the relay would meet those of the client if it chose as the client does.
    let _lab = Lab::with_ports("40000 40099");
    let mut held = Vec::new();
    for _ in 0..60 {
        let start = Instant::now();
        let mut stream = from_outside(&format!("{SERVER}:8080"), 0);
        assert_eq!(seen(&mut stream).to_string(), CLIENT);
        // A connection that meets another is tried again after a second.
        assert!(start.elapsed() < Duration::from_millis(900));
        held.push(stream);
    }
}

#[test]
fn w13_one_client_may_have_more_connections_than_there_are_ports_for_an_address() {
    if is_outside("w13_one_client_may_have_more_connections_than_there_are_ports_for_an_address") {
        return;
    }
    let _lab = Lab::with_ports("32768 33367");
    // As many for one address of a client, where each is taken for all destinations at once.
    let kernel = 600;
    let mut held = Vec::new();
    for number in 0..kernel * 3 / 2 {
        // Redirection cannot tell apart connections from one port to two.
        let to = format!("{SERVER}:{}", 8080 + number % 2);
        let mut stream = from_outside(&to, 20_000 + number);
        assert_eq!(seen(&mut stream).to_string(), CLIENT, "{number}");
        held.push(stream);
    }
}

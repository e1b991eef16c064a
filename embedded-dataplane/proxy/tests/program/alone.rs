//! Without anything that leads traffic to it.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use ambient_testkit::{Authority, Issued, Leaf, Purpose, Validity};

use crate::harness::{PROGRAM, Process, authority, eventually, get};

const MESH: &str = "workloads:
- {uid: c//Pod/shop/db, name: db, namespace: shop, serviceAccount: db, protocol: HBONE,
   workloadIps: [127.0.0.1], services: {}}
";

/// Ports that nobody has at this moment.
pub(crate) fn free<const N: usize>() -> [SocketAddr; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

/// A file with everything that the program needs.
pub(crate) fn configured(folder: &Path, ports: &[SocketAddr; 6]) -> String {
    let mesh = folder.join("mesh.yaml");
    fs::write(&mesh, MESH).unwrap();
    let config = folder.join("proxy.yaml");
    let [outbound, plaintext, tunnels, admin, metrics, status] = ports;
    let text = format!(
        "snapshot: {}\nauthority: {}\nworkload: shop/db/db\nsource: relay\noutbound: {outbound}\n\
         plaintext: {plaintext}\ntunnels: {tunnels}\nadmin: {admin}\nmetrics: {metrics}\n\
         status: {status}\n",
        mesh.display(),
        authority(folder).display(),
    );
    fs::write(&config, text).unwrap();
    config.display().to_string()
}

pub(crate) fn program(config: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["ztunnel", "--config", config]);
    command
}

#[test]
fn it_becomes_ready_answers_and_ends_by_signal() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let mut process = Process::start(&mut program(&config), folder.path().join("log"));
    let [.., admin, metrics, status] = ports;
    eventually("it is ready", || {
        get(status, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let counted = get(metrics, "/metrics").unwrap();
    for line in [
        "istio_build{component=\"ztunnel\"",
        "ambient_accept_failures_total{listener=\"outbound\"} 0\n",
        "ambient_accept_failures_total{listener=\"plaintext\"} 0\n",
        "ambient_accept_failures_total{listener=\"tunnels\"} 0\n",
        "ambient_inbound_tunnels 0\n",
    ] {
        assert!(counted.contains(line), "{line} in {counted}");
    }
    let dump = get(admin, "/config_dump").unwrap();
    let (_, body) = dump.split_once("\r\n\r\n").unwrap();
    let dump: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(dump["workloadState"]["c//Pod/shop/db"]["state"], "Up");
    assert_eq!(dump["config"]["preservesSource"], false);
    process.terminate();
    assert_eq!(process.ended(), Some(0));
    let log = process.log();
    let lines = log.lines().map(|line| line.split_once('\t').unwrap().1);
    let lines: Vec<_> = lines.collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    info	proxy::ztunnel	ready	workload=shop/db/db
    info	proxy::ztunnel	draining	cause="SIGTERM" within=5s
    info	proxy::ztunnel	everybody has gone
    "#);
}

#[test]
fn a_signal_ends_it_while_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let endless = folder.path().join("endless");
    let made = Command::new("mkfifo").arg(&endless).status().unwrap();
    assert!(made.success());
    for option in ["--snapshot", "--revocations"] {
        let mut command = program(&config);
        command.arg(option).arg(&endless);
        let log = folder.path().join(&option[2..]);
        let mut process = Process::start(&mut command, log);
        // Opened for writing it is there once somebody reads.
        let _writer = fs::OpenOptions::new().write(true).open(&endless).unwrap();
        process.terminate();
        assert_eq!(process.ended(), Some(0), "{option}");
        let log = process.log();
        assert!(log.contains("ending before it serves"), "{option}: {log}");
    }
}

#[test]
fn it_is_not_ready_without_a_certificate_and_says_once_what_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let [.., status] = ports;
    let authority = folder.path().join("authority");
    let away = folder.path().join("away");
    fs::rename(&authority, &away).unwrap();
    let process = Process::start(&mut program(&config), folder.path().join("log"));
    process.logs("no certificate yet");
    let answer = get(status, "/healthz/ready").unwrap();
    let (head, missing) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 500"), "{head}");
    insta::assert_snapshot!(missing, @"not ready, waiting for: certificate");
    fs::rename(&away, &authority).unwrap();
    eventually("it is ready", || {
        get(status, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    let log = process.log();
    assert_eq!(log.matches("no certificate yet").count(), 1, "{log}");
}

#[test]
fn what_is_wrong_is_told_and_is_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let mut told = String::new();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap().to_string();
    let is_folder = folder.path().display().to_string();
    let strange = folder.path().join("strange.yaml").display().to_string();
    fs::write(&strange, "\"\\e[2J\\nall is well\": 1\n").unwrap();
    for arguments in [
        &["ztunnel"][..],
        &["ztunnel", "--authority", "a", "--certificates", "b"],
        &["ztunnel", "--authority", "a"],
        &["ztunnel", "--authority", "a", "--snapshot", "b"],
        &["ztunnel", "--config", "nowhere"],
        &["ztunnel", "--config", "/dev/zero"],
        &["ztunnel", "--drain", "5"],
        &["ztunnel", "--workload", "db"],
        &["ztunnel", "--config", &config, "--snapshot", "nowhere"],
        &["ztunnel", "--config", &config, "--snapshot", &strange],
        &["ztunnel", "--config", &config, "--workload", "shop/web/web"],
        &["ztunnel", "--config", &config, "--tunnels", &taken],
        &["ztunnel", "--config", &config, "--threads", "0"],
        &["ztunnel", "--config", &config, "--threads", "5000"],
        &["ztunnel", "--config", &config, "--handshake", "0s"],
        &[
            "ztunnel",
            "--config",
            &config,
            "--trust-domain-aliases",
            "a b",
        ],
        &["ztunnel", "--config", &config, "--handover", &is_folder],
        &["waypoint"],
    ] {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let text = text.lines().find(|line| line.starts_with("error"));
        let text = text.unwrap_or_default();
        let text = text.replace(&taken, "TAKEN");
        let folder = folder.path().display().to_string();
        let code = output.status.code();
        _ = writeln!(told, "{code:?} {}", text.replace(&folder, "FOLDER"));
    }
    drop(holder);
    insta::assert_snapshot!(told, @r#"
    Some(64) error: `--certificates` is missing: the folder of the workload's certificate
    Some(64) error: `--certificates` and `--authority` exclude each other
    Some(64) error: `--snapshot` is missing: the file with workloads and services
    Some(64) error: `--workload` is missing: NAMESPACE/NAME/SERVICE-ACCOUNT
    Some(64) error: cannot read `nowhere`: No such file or directory (os error 2)
    Some(64) error: cannot read `/dev/zero`: it has more than 1048576 bytes
    Some(64) error: invalid value '5' for '--drain <TIME>': `5` is no time: write `250ms`, `5s` or `10m`
    Some(64) error: invalid value 'db' for '--workload <NAMESPACE/NAME/SERVICE-ACCOUNT>': `db` is not of the form `NAMESPACE/NAME/SERVICE-ACCOUNT`
    Some(64) error: cannot read `nowhere`: No such file or directory (os error 2)
    Some(64) error: FOLDER/strange.yaml:1: unknown field `\u{1b}[2J\nall is well`, expected one of `workloads`, `services`, `policies`
    Some(64) error: there is no workload `shop/web/web`; it is named NAMESPACE/NAME/SERVICE-ACCOUNT, as in the snapshot
    Some(1) error: cannot listen for `tunnels` at TAKEN; `--tunnels` takes another address: Address already in use (os error 98)
    Some(64) error: `--threads 0`: take 1 to 1024
    Some(64) error: `--threads 5000`: take 1 to 1024
    Some(64) error: `--handshake 0s`: nobody would get in; take a time, as `5s`
    Some(64) error: `--trust-domain-aliases`: `a b` is no trust domain; it is as between `spiffe://` and the next `/` of an identity
    Some(1) error: cannot listen for a successor at `FOLDER`: Is a directory (os error 21)
    Some(64) error: unrecognized subcommand 'waypoint'
    "#);
}

#[test]
fn a_connection_that_nothing_led_to_the_relay_ends_there() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let _process = Process::start(&mut program(&config), folder.path().join("log"));
    let [outbound, plaintext, _, _, metrics, status] = ports;
    eventually("it is ready", || {
        get(status, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    for listener in [outbound, plaintext] {
        let mut stream = std::net::TcpStream::connect(listener).unwrap();
        let patience = std::time::Duration::from_secs(5);
        stream.set_read_timeout(Some(patience)).unwrap();
        let read = std::io::Read::read(&mut stream, &mut [0; 16]);
        let is_over = match &read {
            Ok(count) => *count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        };
        assert!(is_over, "{read:?}");
    }
    // Each would be another of the relay to itself.
    let counted = get(metrics, "/metrics").unwrap();
    let opened = counted.lines();
    let opened = opened.filter(|l| l.starts_with("istio_tcp_connections_opened_total"));
    assert_eq!(opened.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn a_full_disk_below_the_log_holds_nothing_up_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut process = Process::start_into(&mut program(&config), full);
    let [_, _, tunnels, _, metrics, status] = ports;
    eventually("it is ready", || {
        get(status, "/healthz/ready").is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
    });
    for _ in 0..20 {
        let mut stream = TcpStream::connect(tunnels).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        // An alert, and the end.
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    // That it is ready, and what came of the clients, which is not told of each.
    eventually("lines are counted as dropped", || {
        let metrics = get(metrics, "/metrics").unwrap_or_default();
        let lines = metrics
            .lines()
            .find_map(|line| line.strip_prefix("ambient_log_lines_dropped_total "));
        lines.is_some_and(|count| count.parse::<u64>().unwrap() >= 2)
    });
    process.terminate();
    assert_eq!(process.ended(), Some(0));
}

/// What a process says of this certificate, and whether it becomes ready with it.
fn told_of(issued: &Issued, roots: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let ports = free();
    let config = configured(folder.path(), &ports);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("authority: ", "certificates: ")).unwrap();
    let Issued { chain, key } = issued;
    let files = [
        ("cert-chain.pem", &**chain),
        ("key.pem", key),
        ("root-cert.pem", roots),
    ];
    for (name, text) in files {
        fs::write(folder.path().join("authority").join(name), text).unwrap();
    }
    let process = Process::start(&mut program(&config), folder.path().join("log"));
    process.logs("identity=");
    let log = process.log();
    let line = log.lines().find(|line| line.contains("identity=")).unwrap();
    let [.., status] = ports;
    let answer = get(status, "/healthz/ready").unwrap();
    format!(
        "{}\n{}",
        line.split_once('\t').unwrap().1,
        answer.lines().last().unwrap()
    )
}

#[test]
fn what_is_wrong_with_the_own_certificate_is_told_and_it_is_used_where_others_may_believe_it() {
    let (mesh, other) = (Authority::new("mesh"), Authority::new("other"));
    let leaf = Leaf::of("cluster.local/ns/shop/sa/db");
    let issued = mesh.issue(&leaf);
    let anothers = Issued {
        key: mesh.issue(&leaf).key,
        ..issued.clone()
    };
    let told = [
        told_of(&issued, &other.root()),
        told_of(
            &mesh.issue(&leaf.clone().only_for(Purpose::Client)),
            &mesh.root(),
        ),
        told_of(&anothers, &mesh.root()),
        told_of(&mesh.issue(&leaf.valid(Validity::Past)), &mesh.root()),
    ];
    insta::assert_snapshot!(told.join("\n"), @r#"
    warn	proxy::certificates	peers that believe the same roots refuse the certificate of this workload	identity=spiffe://cluster.local/ns/shop/sa/db error="the chain leads to none of the roots"
    ready
    warn	proxy::certificates	peers that believe the same roots refuse the certificate of this workload	identity=spiffe://cluster.local/ns/shop/sa/db error="the certificate is not for this end of a connection"
    ready
    warn	proxy::certificates	no certificate yet	identity=spiffe://cluster.local/ns/shop/sa/db error="what was fetched cannot be used: it is not the key of the certificate"
    not ready, waiting for: certificate
    warn	proxy::certificates	no certificate yet	identity=spiffe://cluster.local/ns/shop/sa/db error="the certificate that was given has expired already"
    not ready, waiting for: certificate
    "#);
}

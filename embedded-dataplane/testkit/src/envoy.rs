//! Envoy, which waypoints, gateways and sidecars of the mesh are. Needs its binary, which
//! `AMBIENT_PEER_ENVOY` names, or which is `envoy` in the path.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::authority::Issued;

/// Where the types of Envoy's extensions are.
pub const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// Listens for questions about this Envoy.
const ADMIN: &str = "admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }";

/// The binary.
pub struct Binary(PathBuf);

/// An Envoy that ends with its owner.
pub struct Envoy {
    process: Child,
    folder: tempfile::TempDir,
}

impl Binary {
    /// Looks for it, and says which test is skipped where there is none. In CI there has to be one.
    pub fn find(test: &str) -> Option<Self> {
        let named = std::env::var_os("AMBIENT_PEER_ENVOY").map(PathBuf::from);
        let path = named.unwrap_or_else(|| PathBuf::from("envoy"));
        let starts = Command::new(&path).arg("--version").output();
        if starts.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        let reason = format!("{test} needs envoy: name it with AMBIENT_PEER_ENVOY");
        assert!(std::env::var_os("CI").is_none(), "{reason}");
        _ = writeln!(std::io::stderr(), "skipped: {reason}");
        None
    }

    /// Starts it, and waits until it starts its workers, which listen a little later. In the
    /// configuration `FOLDER` is a folder with its certificate `chain.pem`, `key.pem`, and the root
    /// that it believes, `root.pem`.
    pub fn start(&self, own: &Issued, root: &str, configuration: &str) -> Envoy {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let configuration = format!("{ADMIN}\n{}", configuration.replace("FOLDER", &path));
        for (name, text) in [
            ("chain.pem", own.chain.as_str()),
            ("key.pem", &own.key),
            ("root.pem", root),
            ("envoy.yaml", &configuration),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut process = Command::new(&self.0)
            .args(["--concurrency", "1", "--disable-hot-restart", "-c"])
            .arg(folder.path().join("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(folder.path().join("admin"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let envoy = Envoy { process, folder };
        let mut told = String::new();
        while !told.contains("starting workers") {
            let came = log.read_line(&mut told).unwrap();
            assert!(came > 0, "{told}");
        }
        // It would wait if nobody took the rest.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        envoy
    }
}

impl Envoy {
    /// Where its listener of this name is, by its administration.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let admin = std::fs::read_to_string(self.folder.path().join("admin")).unwrap();
        let mut stream = TcpStream::connect(admin.trim()).unwrap();
        stream
            .write_all(b"GET /listeners HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let mut found = answer
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix("::"));
        found.next().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

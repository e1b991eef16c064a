//! Running the program.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ambient_testkit::Authority;

/// Paths of the program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_ambient-proxy");

/// The name of the authority of tests.
pub(crate) const MESH: &str = "mesh";

/// A folder with an authority for everybody.
pub(crate) fn authority(folder: &Path) -> PathBuf {
    let authority = Authority::new(MESH);
    let path = folder.join("authority");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("ca-cert.pem"), authority.root()).unwrap();
    fs::write(path.join("ca-key.pem"), authority.key()).unwrap();
    path
}

/// A program that is killed with its owner.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts something that logs into a file.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> Self {
        let file = fs::File::options()
            .append(true)
            .create(true)
            .open(&log)
            .unwrap();
        let child = command.stdin(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    /// Starts something that logs into this.
    pub(crate) fn start_into(command: &mut Command, log: fs::File) -> Self {
        let child = command.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        Self {
            child,
            log: PathBuf::new(),
        }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Memory of its own at this moment, in octets, without pages of files.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("RssAnon:"))
            .unwrap();
        let kilobytes = line.split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    /// Files that it has open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id()))
            .unwrap()
            .count()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits until it ends, and tells how.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("it ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }

    /// Waits until a line of the log has a text.
    pub(crate) fn logs(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            let log = self.log();
            assert!(start.elapsed() < LONG, "no `{text}` in the log:\n{log}");
            pause();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Longer than anything takes that comes at all.
const LONG: Duration = Duration::from_secs(20);

/// What another process does shows only when it is looked for.
#[expect(
    clippy::disallowed_methods,
    reason = "another process tells of no event"
)]
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(10));
}

pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LONG, "{what}: not in time");
        pause();
    }
}

/// The answer to a request, head and body; nothing while nobody is there, or answers in time.
pub(crate) fn get(address: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(LONG)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

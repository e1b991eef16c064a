//! Running the program, and the files that it is given.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use ambient_testkit::{Authority, Issued, Leaf};

pub(crate) fn program(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// The program, with its output for the test.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-ambient"));
    command.arg("diagnose").args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

/// A folder with credentials and roots.
pub(crate) struct Files {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: Issued,
    pub(crate) client: Issued,
}

impl Files {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("mesh");
        let files = Self {
            folder: tempfile::tempdir().unwrap(),
            server: authority.issue(&Leaf::of("cluster.local/ns/shop/sa/db")),
            client: authority.issue(&Leaf::of("cluster.local/ns/shop/sa/web")),
        };
        files.write("root.pem", &authority.root());
        files.write("cert.pem", &files.client.chain);
        files.write("key.pem", &files.client.key);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name).display().to_string()
    }

    pub(crate) fn flag(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

/// The result of the first address, without what differs from run to run.
pub(crate) fn result(output: &Output) -> serde_json::Value {
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    document["results"][0].clone()
}

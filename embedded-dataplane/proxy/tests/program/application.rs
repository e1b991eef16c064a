//! The application of the lab's second pod, as a process of its own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::lab::LISTEN;

/// Octets of a client that are little enough to be logged.
const LITTLE: usize = 16;

/// An application that tells who it takes its client for and the class of its packets, and then sends
/// back what it gets. Of a client that says little it logs that, and how it ends.
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
        let class = socket2::SockRef::from(&stream).tos_v4().unwrap();
        _ = writeln!(stream, "{} {class}", client.ip().to_canonical());
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                let mut said = Vec::new();
                let end = match send_back(&stream, &mut said) {
                    Ok(()) => "finishes".to_owned(),
                    Err(error) => format!("ends with {:?}", error.kind()),
                };
                _ = stream.shutdown(std::net::Shutdown::Both);
                if (1..=LITTLE).contains(&said.len()) {
                    let said = String::from_utf8_lossy(&said);
                    _ = writeln!(std::io::stderr(), "`{said}` {end}");
                }
            })
            .unwrap();
    }
}

/// Until the client finishes. Remembers a little more than what is little.
fn send_back(mut stream: &TcpStream, said: &mut Vec<u8>) -> std::io::Result<()> {
    let mut octets = vec![0; 16 << 10];
    loop {
        let length = stream.read(&mut octets)?;
        if length == 0 {
            return Ok(());
        }
        let more = (LITTLE + 1).saturating_sub(said.len()).min(length);
        said.extend(&octets[..more]);
        stream.write_all(&octets[..length])?;
    }
}

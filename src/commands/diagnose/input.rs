//! What a probe is given: addresses, a certificate with its key, and roots.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use ambient_identity::{Credentials, Roots};

use crate::commands::output::Output;
use crate::error::ExpectedError;
use crate::probe::{Address, Options, ParseAddressError};
use crate::settings::Diagnose;

/// The longest file of addresses, certificates or keys, in octets.
const LONGEST_FILE: u64 = 16 << 20;

pub(super) fn options(settings: &Diagnose) -> Result<Options, ExpectedError> {
    let credentials = match &settings.credentials {
        None => None,
        Some((chain, key)) => {
            let (chain_text, key_text) = (read("--cert", chain)?, read("--key", key)?);
            let credentials = Credentials::from_pem(&chain_text, &key_text);
            Some(credentials.map_err(|error| {
                let of_key = error.is_of_key();
                let (flag, path) = if of_key {
                    ("--key", key)
                } else {
                    ("--cert", chain)
                };
                unusable(flag, path, &error)
            })?)
        }
    };
    let roots = match &settings.roots {
        None => None,
        Some(path) => {
            let roots = Roots::from_pem(&read("--root", path)?);
            Some(roots.map_err(|error| unusable("--root", path, &error))?)
        }
    };
    Ok(Options {
        credentials,
        roots,
        expected: settings.expected.clone(),
        target: settings.target,
        timeout: settings.timeout,
        sizes: settings.sizes.clone(),
    })
}

fn unusable(flag: &'static str, path: &Path, reason: &impl ToString) -> ExpectedError {
    ExpectedError::UnusableFile {
        flag,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

/// All addresses that are asked for, each once.
pub(super) fn addresses(
    settings: &Diagnose,
    output: &mut Output<'_>,
) -> Result<Vec<Address>, ExpectedError> {
    let mut addresses = settings.addresses.clone();
    for path in &settings.lists {
        let text = if path.as_os_str() == "-" {
            whole(output.stdin()).map_err(|source| unreadable("-f", path, source))?
        } else {
            read("-f", path)?
        };
        let text =
            String::from_utf8(text).map_err(|_| unusable("-f", path, &"it is not UTF-8 text"))?;
        // Editors of Windows begin a file with a mark of its byte order.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        for (place, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let address = line.parse().map_err(|error: ParseAddressError| {
                // The line itself is not shown: it could be one of a key.
                let (line, reason) = (place + 1, error.reason());
                unusable("-f", path, &format!("line {line} is no address: {reason}"))
            })?;
            addresses.push(address);
        }
    }
    let mut known = BTreeSet::new();
    addresses.retain(|address| known.insert(address.clone()));
    if addresses.is_empty() {
        return Err(ExpectedError::NoAddresses(settings.lists.clone()));
    }
    Ok(addresses)
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, ExpectedError> {
    if path.to_string_lossy().contains('\n') {
        // Nor is this: it is the text of a file, and perhaps of a key.
        let reason = "it is text, and not the path of a file";
        return Err(unusable(flag, Path::new("…"), &reason));
    }
    let text = fs::File::open(path).and_then(|mut file| whole(&mut file));
    text.map_err(|source| unreadable(flag, path, source))
}

/// All that there is to read, unless that is too much.
fn whole(from: &mut dyn io::Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(LONGEST_FILE + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LONGEST_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
    }
    Ok(text)
}

fn unreadable(flag: &'static str, path: &Path, source: io::Error) -> ExpectedError {
    ExpectedError::UnreadableFile {
        flag,
        path: path.to_owned(),
        source,
    }
}

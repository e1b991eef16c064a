//! Files of a size that is known to be enough.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The text of a file that has so many octets at most, whatever it is that has no end.
///
/// # Errors
///
/// When it cannot be read, is no text, or has more.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let mut file = File::open(path)?.take(most.saturating_add(1));
    let length = file.read_to_string(&mut text)?;
    if length as u64 > most {
        let message = format!("it has more than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_is_not_read() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let length = text.len() as u64;
        assert_eq!(read_text(&path, length).unwrap(), text);
        let error = read_text(&path, length - 1).unwrap_err();
        let expected = format!("it has more than {} bytes", length - 1);
        assert_eq!(error.to_string(), expected);
    }
}

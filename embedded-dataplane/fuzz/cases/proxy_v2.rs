//! Any octets are read as a header of PROXY protocol version 2, or refused; what was understood is
//! written so that it is understood again.

use ambient_hbone::proxy_protocol::{DecodeError, decode};

pub(crate) fn run(data: &[u8]) {
    match decode(data) {
        Ok((header, taken)) => {
            assert!((16..=data.len()).contains(&taken));
            if let Some(header) = header {
                let written = header.encode().expect("what was in a header fits into one");
                // An empty identity is none.
                let same = header.identity.as_deref() != Some("");
                let read = decode(&written).expect("a header");
                assert_eq!(read.1, written.len());
                assert_eq!(read.0 == Some(header), same);
            }
        }
        Err(DecodeError::Incomplete) => assert!(data.len() < 16 + 65_535),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

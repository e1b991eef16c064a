//! Any octets name a network, or none; a name is written as it would be read.

use ambient_hbone::headers::Network;

pub(crate) fn run(data: &[u8]) {
    if let Some(read) = Network::decode(data) {
        let written = read.encode().expect("a name stands in a header");
        assert_eq!(Network::decode(written.as_bytes()), Some(read));
    }
}

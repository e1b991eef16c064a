//! Any lines are read as `baggage` headers; what was understood is written so that it is understood
//! again.

use ambient_hbone::headers::Baggage;

pub(crate) fn run(data: &[u8]) {
    let read = Baggage::decode(data.split(|octet| *octet == b'\n'));
    let Some(written) = read.encode() else {
        assert_eq!(read, Baggage::default());
        return;
    };
    // Octets that were read as they are may need an escape of three.
    if written.len() <= 8192 {
        assert_eq!(Baggage::decode([written.as_bytes()]), read, "{written:?}");
    }
}

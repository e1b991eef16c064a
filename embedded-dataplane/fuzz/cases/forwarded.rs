//! Any octets are read as a `forwarded` header; what was understood is written so that it is
//! understood again.

use ambient_hbone::headers::Forwarded;

pub(crate) fn run(data: &[u8]) {
    let read = Forwarded::decode(data);
    let Some(written) = read.encode() else {
        assert_eq!(read, Forwarded::default());
        return;
    };
    assert_eq!(Forwarded::decode(written.as_bytes()), read, "{written:?}");
}

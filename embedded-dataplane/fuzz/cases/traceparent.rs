//! Any octets are read as a `traceparent` header, or refused; one of version 00 is written as it was.

use ambient_hbone::headers::Traceparent;

pub(crate) fn run(data: &[u8]) {
    let Ok(read) = Traceparent::decode(data) else {
        return;
    };
    let written = read.to_string();
    assert_eq!(written.parse(), Ok(read), "{written}");
    if data.starts_with(b"00") {
        assert_eq!(written.as_bytes(), data);
    }
}

//! What fuzz targets read answers with: each reader of outside text has one, and these are nobody
//! else's business.

use super::{call, message};

/// The texts that an answer holds, as it comes without HTTP/2 around it: framed by gRPC. `None` when
/// it is no answer.
pub fn answer(octets: &[u8]) -> Option<Vec<Vec<u8>>> {
    let message = call::unframed(octets.to_vec()).ok()?;
    let texts = message::response(&message)?;
    Some(texts.into_iter().map(<[u8]>::to_vec).collect())
}

/// What is shown of the words of an error (`grpc-message`).
pub fn words(text: &[u8]) -> String {
    call::readable(text)
}

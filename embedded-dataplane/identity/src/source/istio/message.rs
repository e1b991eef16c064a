//! The two messages of Istio's certificate service, in the encoding of protocol buffers (istio/api
//! `security/v1alpha1/ca.proto`).
//!
//! Written by hand: three fields go out and one comes back, which needs no generator and none of
//! what generated code brings along.

use std::time::Duration;

use crate::spiffe::SpiffeId;

/// `IstioCertificateRequest.csr`.
const CSR: u64 = 1;
/// `IstioCertificateRequest.validity_duration`, in seconds.
const VALIDITY: u64 = 3;
/// `IstioCertificateRequest.metadata`, a `google.protobuf.Struct`.
const METADATA: u64 = 4;
/// `IstioCertificateResponse.cert_chain`.
const CHAIN: u64 = 1;
/// `google.protobuf.Struct.fields`, a map.
const FIELDS: u64 = 1;
/// The key of an entry of a map.
const KEY: u64 = 1;
/// The value of an entry of a map.
const VALUE: u64 = 2;
/// `google.protobuf.Value.string_value`.
const STRING: u64 = 3;

/// Key of the metadata that says for whom a node asks (istio `security/pkg/server/ca/server.go`,
/// `ImpersonatedIdentity`).
const IMPERSONATED: &str = "ImpersonatedIdentity";

/// How a field is encoded (protocol buffers encoding, "Message Structure").
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// A request to certify what the CSR in PEM asks for. `impersonated` is named where the caller is a
/// node that asks for a workload on it.
pub(super) fn request(csr: &str, validity: Duration, impersonated: Option<&SpiffeId>) -> Vec<u8> {
    let mut message = Vec::new();
    delimited(&mut message, CSR, csr.as_bytes());
    varint(&mut message, VALIDITY << 3 | VARINT);
    varint(&mut message, validity.as_secs());
    if let Some(identity) = impersonated {
        let (mut value, mut entry, mut fields) = (Vec::new(), Vec::new(), Vec::new());
        delimited(&mut value, STRING, identity.to_string().as_bytes());
        delimited(&mut entry, KEY, IMPERSONATED.as_bytes());
        delimited(&mut entry, VALUE, &value);
        delimited(&mut fields, FIELDS, &entry);
        delimited(&mut message, METADATA, &fields);
    }
    message
}

/// The texts in PEM that a response holds: the certificate, those between it and the roots one by
/// one, and the roots. `None` when it is no such message. Fields that are not known are passed over.
pub(super) fn response(mut message: &[u8]) -> Option<Vec<&[u8]>> {
    let mut chain = Vec::new();
    while !message.is_empty() {
        let key = take_varint(&mut message)?;
        match (key >> 3, key & 7) {
            (0, _) => return None,
            (field, DELIMITED) => {
                let length = usize::try_from(take_varint(&mut message)?).ok()?;
                let (content, rest) = message.split_at_checked(length)?;
                message = rest;
                if field == CHAIN {
                    chain.push(content);
                }
            }
            (_, VARINT) => _ = take_varint(&mut message)?,
            (_, FIXED_64) => message = message.get(8..)?,
            (_, FIXED_32) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(chain)
}

fn delimited(message: &mut Vec<u8>, field: u64, content: &[u8]) {
    varint(message, field << 3 | DELIMITED);
    varint(message, content.len() as u64);
    message.extend_from_slice(content);
}

fn varint(message: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            message.push(low);
            return;
        }
        message.push(low | 0x80);
    }
}

fn take_varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&octet, rest) = message.split_first()?;
        *message = rest;
        let part = u64::from(octet & 0x7f);
        number |= part.checked_shl(shift).filter(|n| n >> shift == part)?;
        if octet < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_encoded_as_protocol_buffers_has_it() {
        let day = Duration::from_hours(24);
        let plain = b"\x0a\x03csr\x18\x80\xa3\x05";
        assert_eq!(request("csr", day, None), plain);
        let identity = "spiffe://a/ns/b/sa/c".parse().unwrap();
        let mut impersonated = plain.to_vec();
        impersonated.extend(b"\x22\x30\x0a\x2e\x0a\x14ImpersonatedIdentity\x12\x16\x1a\x14");
        impersonated.extend(b"spiffe://a/ns/b/sa/c");
        assert_eq!(request("csr", day, Some(&identity)), impersonated);
        // Lengths beyond one octet.
        let long = "x".repeat(300);
        let encoded = request(&long, Duration::ZERO, None);
        assert_eq!(&encoded[..3], b"\x0a\xac\x02");
        assert_eq!(&encoded[303..], b"\x18\x00");
    }

    #[test]
    fn a_response_is_read_and_what_is_not_known_is_passed_over() {
        let known = b"\x0a\x04leaf\x0a\x05roots";
        assert_eq!(response(known), Some(vec![&b"leaf"[..], b"roots"]));
        let more = [
            &b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..],
            b"\x19\0\0\0\0\0\0\0\0",
            b"\x25\0\0\0\0",
            b"\x32\x01x",
            known,
        ];
        assert_eq!(response(&more.concat()), response(known));
        assert_eq!(response(b""), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        let others: [&[u8]; 8] = [
            b"\x0a",
            b"\x0a\x05leaf",
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            b"\x02\x01x",
            b"\x0b\x0c",
            b"\x19\0\0\0",
            b"\x80",
        ];
        for other in others {
            assert_eq!(response(other), None, "{other:x?}");
        }
    }

    #[test]
    fn no_damage_makes_more_of_a_message_than_there_is() {
        let message = b"\x0a\x04leaf\x10\x80\x01\x19\0\0\0\0\0\0\0\0\x25\0\0\0\0\x0a\x05roots";
        for end in 0..=message.len() {
            for place in 0..end {
                for octet in 0..=u8::MAX {
                    let mut damaged = message[..end].to_vec();
                    damaged[place] = octet;
                    let texts = response(&damaged).unwrap_or_default();
                    assert!(texts.concat().len() < end);
                }
            }
        }
    }
}

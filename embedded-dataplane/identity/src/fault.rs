//! Why TLS failed, as far as it can be told from one end.

use std::io;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

/// A fatal alert, by its number (RFC 8446, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alert {
    /// The number on the wire.
    pub number: u8,
    /// The name in the RFC.
    pub name: &'static str,
}

/// Why TLS failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsFault {
    /// The peer refused with an alert.
    Alert(Alert),
    /// What the peer sent is not TLS.
    NotTls,
    /// The peer does not have TLS 1.3.
    Version,
    /// The peer has no cipher suite, group or signature scheme that we have.
    NothingInCommon,
    /// The peer chose an application protocol that was not offered.
    Protocol,
    /// The peer broke the rules of TLS, in the words of the library.
    Broken(String),
}

impl TlsFault {
    /// What is behind an error of a stream; `None` where it is not TLS that failed.
    pub fn of(error: &io::Error) -> Option<Self> {
        let inner = error.get_ref()?.downcast_ref::<Error>()?;
        Some(match inner {
            Error::AlertReceived(alert) => Self::Alert(Alert::of(*alert)),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge
                | InvalidMessage::InvalidEmptyPayload,
            ) => Self::NotTls,
            Error::PeerIncompatible(
                PeerIncompatible::ServerDoesNotSupportTls12Or13
                | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerSentHelloRetryRequestWithUnknownExtension,
            ) => Self::Version,
            Error::PeerIncompatible(_) => Self::NothingInCommon,
            Error::NoApplicationProtocol => Self::Protocol,
            other => Self::Broken(other.to_string()),
        })
    }
}

impl Alert {
    fn of(alert: AlertDescription) -> Self {
        let name = match alert {
            AlertDescription::CloseNotify => "close_notify",
            AlertDescription::UnexpectedMessage => "unexpected_message",
            AlertDescription::BadRecordMac => "bad_record_mac",
            AlertDescription::RecordOverflow => "record_overflow",
            AlertDescription::HandshakeFailure => "handshake_failure",
            AlertDescription::BadCertificate => "bad_certificate",
            AlertDescription::UnsupportedCertificate => "unsupported_certificate",
            AlertDescription::CertificateRevoked => "certificate_revoked",
            AlertDescription::CertificateExpired => "certificate_expired",
            AlertDescription::CertificateUnknown => "certificate_unknown",
            AlertDescription::IllegalParameter => "illegal_parameter",
            AlertDescription::UnknownCA => "unknown_ca",
            AlertDescription::AccessDenied => "access_denied",
            AlertDescription::DecodeError => "decode_error",
            AlertDescription::DecryptError => "decrypt_error",
            AlertDescription::ProtocolVersion => "protocol_version",
            AlertDescription::InsufficientSecurity => "insufficient_security",
            AlertDescription::InternalError => "internal_error",
            AlertDescription::InappropriateFallback => "inappropriate_fallback",
            AlertDescription::UserCanceled => "user_canceled",
            AlertDescription::MissingExtension => "missing_extension",
            AlertDescription::UnsupportedExtension => "unsupported_extension",
            AlertDescription::UnrecognisedName => "unrecognized_name",
            AlertDescription::CertificateRequired => "certificate_required",
            AlertDescription::NoApplicationProtocol => "no_application_protocol",
            _ => "unknown",
        };
        Self {
            number: alert.into(),
            name,
        }
    }
}

//! Why TLS failed, as far as it can be told from one end, and why a peer is not believed.

use std::collections::BTreeSet;
use std::io;

use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

use crate::spiffe::SpiffeId;

/// A fatal alert, by its number (RFC 8446, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("alert {number}, {name}")]
pub struct Alert {
    /// The number on the wire.
    pub number: u8,
    /// The name in the RFC.
    pub name: &'static str,
}

/// Why TLS failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// The peer refused with an alert.
    #[error("the peer refused: {0}")]
    Alert(Alert),
    /// What the peer sent is not TLS.
    #[error("what the peer sent is not TLS")]
    NotTls,
    /// The peer does not have TLS 1.3.
    #[error("the peer has no version of TLS that is permitted here")]
    Version,
    /// The peer has no cipher suite, group or signature scheme that we have.
    #[error("the peer has no cipher suite, group or signature scheme that is permitted here")]
    NothingInCommon,
    /// The peer chose an application protocol that was not offered.
    #[error("the peer and this end have no application protocol in common")]
    Protocol,
    /// The peer broke the rules of TLS, in the words of the library.
    #[error("the peer broke the rules of TLS: {0}")]
    Broken(String),
}

/// Why a chain is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A certificate in it has expired.
    #[error("a certificate of the chain has expired")]
    Expired,
    /// A certificate in it is not valid yet.
    #[error("a certificate of the chain is not valid yet")]
    NotYetValid,
    /// It leads to none of the roots, or a signature in it is wrong.
    #[error("the chain leads to none of the roots")]
    Untrusted,
    /// The certificate is not for this end of a connection (extended key usage).
    #[error("the certificate is not for this end of a connection")]
    WrongUsage,
    /// Something else, in the words of the verifier.
    #[error("{0}")]
    Other(String),
}

/// Why a peer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// It showed no certificate.
    #[error("the peer showed no certificate")]
    NoCertificate,
    /// Its chain is not believed.
    #[error(transparent)]
    Chain(#[from] ChainFault),
    /// A certificate of its chain is revoked.
    #[error("a certificate of the chain is revoked")]
    Revoked,
    /// The client is of none of our trust domains.
    #[error(
        "the client is {}, and not of trust domain {}",
        listed(seen),
        listed(domains)
    )]
    TrustDomain {
        /// Whom its certificate is for.
        seen: Vec<SpiffeId>,
        /// Our own trust domain, then its aliases.
        domains: Vec<String>,
    },
    /// The server is not who was to be reached.
    #[error(
        "the server is {}, and {} was expected",
        listed(seen),
        listed(expected)
    )]
    Identity {
        /// Whom its certificate is for.
        seen: Vec<SpiffeId>,
        /// Who was to be reached: any of these.
        expected: BTreeSet<SpiffeId>,
    },
}

/// How many names a message lists.
const LISTED: usize = 4;

/// Names in backticks. A peer chooses how many there are, so most of a long list is only counted.
pub(crate) fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let mut names = names.into_iter();
    let shown: Vec<_> = names.by_ref().take(LISTED).collect();
    let shown: Vec<_> = shown
        .iter()
        .map(|n| format!("`{}`", n.to_string()))
        .collect();
    match (shown.is_empty(), names.count()) {
        (true, _) => "nobody".to_owned(),
        (false, 0) => shown.join(" or "),
        (false, more) => format!("{} or one of {more} more", shown.join(", ")),
    }
}

impl ChainFault {
    pub(crate) fn of(error: &webpki::Error) -> Self {
        use webpki::Error as E;
        match error {
            E::CertExpired { .. } | E::InvalidCertValidity => Self::Expired,
            E::CertNotValidYet { .. } => Self::NotYetValid,
            E::UnknownIssuer | E::InvalidSignatureForPublicKey => Self::Untrusted,
            E::RequiredEkuNotFoundContext(_) | E::EmptyEkuExtension => Self::WrongUsage,
            other => Self::Other(in_words(other)),
        }
    }
}

/// What the verifier says by the names of its variants.
pub(crate) fn in_words(error: &webpki::Error) -> String {
    use webpki::Error as E;
    let words = match error {
        E::BadDer | E::BadDerTime | E::TrailingData(_) => "it is damaged",
        E::CaUsedAsEndEntity => "it is an authority's certificate",
        E::EndEntityUsedAsCa => "a certificate that is no authority's signs another",
        E::UnsupportedCertVersion => "it is not of version 3",
        E::UnsupportedCriticalExtension => "a critical extension of it is not known",
        E::NameConstraintViolation => "an authority signed a name that it may not sign",
        E::PathLenConstraintViolated => "an authority signed an authority that it may not sign",
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            "a signature is made with an algorithm that is not permitted"
        }
        E::UnsupportedCrlVersion => "it is not of version 2",
        E::UnsupportedDeltaCrl => "it is a delta list",
        E::UnsupportedIndirectCrl => "it is an indirect list",
        E::UnsupportedCrlIssuingDistributionPoint | E::UnsupportedRevocationReasonsPartitioning => {
            "it is a part of a list"
        }
        other => return other.to_string(),
    };
    words.to_owned()
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
                | PeerIncompatible::SupportedVersionsExtensionRequired
                | PeerIncompatible::Tls12NotOffered
                | PeerIncompatible::Tls12NotOfferedOrEnabled
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

//! The cryptography of the mesh.

use std::sync::{Arc, LazyLock};

use rustls::SupportedProtocolVersion;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::version::{TLS12, TLS13};

/// What TLS may be made of. In every case ciphers are AES in GCM, and never ChaCha20 (ztunnel
/// `src/tls/lib.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsPolicy {
    /// TLS 1.3.
    #[default]
    Tls13,
    /// TLS 1.3, and 1.2 with peers that have no newer one (ztunnel `TLS12_ENABLED`).
    Tls12,
    /// TLS 1.3 with the group X25519MLKEM768 and no other (ztunnel `COMPLIANCE_POLICY=pqc`). There
    /// is no such group in TLS 1.2.
    PostQuantum,
}

impl TlsPolicy {
    pub(crate) fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls13 | Self::PostQuantum => vec![&TLS13],
            Self::Tls12 => vec![&TLS13, &TLS12],
        }
    }

    pub(crate) fn provider(self) -> Arc<CryptoProvider> {
        static TLS13: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
            Arc::new(CryptoProvider {
                cipher_suites: vec![
                    aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
                    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
                ],
                ..aws_lc_rs::default_provider()
            })
        });
        static TLS12: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
            let mut provider = CryptoProvider::clone(&TLS13);
            provider.cipher_suites.extend([
                aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                aws_lc_rs::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                aws_lc_rs::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ]);
            Arc::new(provider)
        });
        static POST_QUANTUM: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
            Arc::new(CryptoProvider {
                kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
                ..CryptoProvider::clone(&TLS13)
            })
        });
        let provider = match self {
            Self::Tls13 => &TLS13,
            Self::Tls12 => &TLS12,
            Self::PostQuantum => &POST_QUANTUM,
        };
        Arc::clone(provider)
    }
}

/// What connections are made with unless told otherwise.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    TlsPolicy::default().provider()
}

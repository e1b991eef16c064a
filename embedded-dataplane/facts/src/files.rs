//! Names of files that certificates are kept in.

/// Chain of a workload, its own certificate first (istio `pkg/security/security.go`,
/// `DefaultCertChainFilePath`), and of an authority, up to its root (istio
/// `security/pkg/pki/ca/ca.go`, `CertChainFile`).
pub const CHAIN: &str = "cert-chain.pem";
/// Key of a workload (istio `pkg/security/security.go`, `DefaultKeyFilePath`).
pub const KEY: &str = "key.pem";
/// Roots (istio `pkg/security/security.go`, `DefaultRootCertFilePath`; `security/pkg/pki/ca/ca.go`,
/// `RootCertFile`).
pub const ROOTS: &str = "root-cert.pem";
/// Certificate of an authority (istio `security/pkg/pki/ca/ca.go`, `CACertFile`).
pub const AUTHORITY: &str = "ca-cert.pem";
/// Key of an authority (istio `security/pkg/pki/ca/ca.go`, `CAPrivateKeyFile`).
pub const AUTHORITY_KEY: &str = "ca-key.pem";

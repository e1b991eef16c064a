//! How certificates are asked for (istio/api `security/v1alpha1/ca.proto`).

/// Path of the one method of Istio's certificate service.
pub const METHOD: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
/// Header that names the cluster whose service account a token is of (istio
/// `pkg/security/authentication.go`, `clusterIDMeta`).
pub const CLUSTER_HEADER: &str = "clusterid";

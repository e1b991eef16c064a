//! What a probe can find out, by name. The names are a public contract, as finding codes are.

/// Defines the causes, in the order of the steps that find them.
macro_rules! causes {
    ($($variant:ident = $name:literal, $title:literal, $meaning:literal, $evidence:literal, $remedy:literal;)*) => {
        /// The one thing that is the matter with a tunnel, or that nothing is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Cause {
            $(#[doc = $title] $variant,)*
        }

        impl Cause {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as output and `explain` have it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it is, in a line.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What was seen where this is found.
            pub fn evidence(self) -> &'static str {
                match self { $(Self::$variant => $evidence,)* }
            }

            /// What to do.
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

causes! {
    Healthy = "healthy", "the tunnel works",
        "Every step that could be tried succeeded. Without a certificate (`--cert`) the probe ends where the peer asks for one: that it does is what a working tunnel looks like from outside.",
        "A TLS 1.3 handshake with a certificate of the mesh, and either the alert `certificate_required` (116) or answers to all that was sent.",
        "None needed. To try more, give a certificate (`--cert`, `--key`) and a target (`--target`).";
    ResolveFailed = "resolve-failed", "the name has no address",
        "The name of the address could not be resolved here.",
        "The answer of the resolver.",
        "Check the name, or give an address. Names of Services resolve inside of the cluster only.";
    ConnectTimeout = "connect-timeout", "nothing answers on the port",
        "Neither the peer nor anything on the way answered. Most network plugins drop what a NetworkPolicy does not permit, and so do security groups; a node that is down looks the same.",
        "No answer to SYN within the time of the step.",
        "Open the tunnel's port in the policies of both sides (`kubectl ambient migrate` shows how), then in security groups. If no port of the pod answers, look at the pod and its node.";
    ConnectRefused = "connect-refused", "nobody listens on the port",
        "The host of the peer answered that the port is closed: the pod is not enrolled, or its proxy is gone.",
        "RST in answer to SYN, and no ICMP message in the error queue of the socket.",
        "Enrol the namespace, and look at the pod's annotation `ambient.istio.io/redirection`; if it says `enabled`, restart the proxy of its node.";
    ConnectRejected = "connect-rejected", "a firewall rejects the port",
        "Not the peer refused, but something that answers with ICMP: a network plugin or firewall that rejects instead of dropping (k3s, Antrea).",
        "ICMP *port unreachable*, with its sender.",
        "Open the tunnel's port in the policies of both sides (`kubectl ambient migrate` shows how), then in firewalls.";
    Unreachable = "unreachable", "there is no way to the peer",
        "This host or a router knows no way to the address, or a firewall forbids all of it.",
        "`ENETUNREACH`, `EHOSTUNREACH`, or an ICMP message with its sender.",
        "Probe from a host that reaches pod addresses, for example from inside of the cluster; check the node of the peer and the routes to it.";
    ClosedBeforeTls = "closed-before-tls", "the peer closed before it said anything",
        "Something accepts connections, and closes them when TLS begins: a firewall that looks into connections, a service that is not TLS, or one that expects the PROXY protocol.",
        "End of the connection, or RST, after no octet.",
        "Find out who listens on the port; a Service or load balancer in between must pass TCP on as it is.";
    NotTls = "not-tls", "the peer does not speak TLS",
        "What answers is not TLS: the port belongs to something else, or the proxy is not in its place.",
        "The first octets of the answer.",
        "Check address and port; applications must not listen on the tunnel's port.";
    TlsStalled = "tls-stalled", "the peer never answers in TLS",
        "The connection stands and nothing comes back: a proxy without processor time, one that waits for a certificate of its own, or a path that loses larger packets.",
        "No, or not enough, octets within the time of the step.",
        "Look at the proxy's log and CPU limit; compare with a probe from the same node to tell the path from the proxy.";
    AlpnMismatch = "alpn-mismatch", "the peer does not take HTTP/2 in TLS",
        "The peer speaks TLS and refuses the protocol of HBONE: it is a sidecar's port, or another server.",
        "The alert `no_application_protocol` (120), or a choice of none followed by something else than HTTP/2.",
        "Check that the address is that of an enrolled pod or a waypoint, and the port the tunnel's.";
    TlsVersion = "tls-version", "the peer does not have TLS 1.3",
        "Ambient mesh uses TLS 1.3 and nothing older.",
        "The alert `protocol_version` (70), or an answer in an older version.",
        "Something in between ends TLS, or the peer is no proxy of the mesh: check the address.";
    TlsNoCommonParameters = "tls-no-common-parameters", "the peer and we do not agree on TLS",
        "Both have TLS 1.3, and no cipher suite, key exchange group or signature that both accept, as when only one of them is bound to FIPS or post-quantum groups. Or the peer breaks off for a reason of its own, which its alert names.",
        "The alert `handshake_failure` (40) or the like; another alert has a remedy of its own.",
        "Compare `COMPLIANCE_POLICY` and the builds of both proxies.";
    ServerUntrusted = "server-untrusted", "the peer's certificate is not trusted",
        "The certificate does not lead to the roots that were given (two authorities, an unfinished rotation of the root, or an intercepting proxy), or not as that of a server.",
        "The issuer of the certificate, or what is wrong with it.",
        "Compare the ConfigMap `istio-ca-root-cert` of both namespaces; distribute both roots until every proxy has a new certificate.";
    ServerExpired = "server-expired", "the peer's certificate has expired",
        "The proxy could not renew its certificate: the control plane does not answer it. Or this host's clock is ahead.",
        "The end of the certificate's validity, and the time of this host.",
        "Look at the proxy's log for errors of signing, and at the control plane; compare clocks.";
    ServerNotYetValid = "server-not-yet-valid", "the peer's certificate is not valid yet",
        "The clocks of the authority and this host differ.",
        "The beginning of the certificate's validity, and the time of this host.",
        "Compare the clocks of this host, the control plane and the peer's node.";
    ServerNotSpiffe = "server-not-spiffe", "the peer's certificate names no workload",
        "The certificate has no identity of the form that proxies of the mesh have.",
        "The names in the certificate.",
        "The peer is not a proxy of the mesh, or something in between ends TLS: check address and port.";
    ServerIdentityUnexpected = "server-identity-unexpected", "the peer is another workload",
        "The peer is a workload of the mesh, but not the one that was expected: the address belongs to another pod by now, or to a waypoint.",
        "Both identities.",
        "Compare with `kubectl get pod -A -o wide`; if the pod is right, look whether the proxies still get updates from the control plane.";
    ServerTrustDomain = "server-trust-domain", "the peer is of another trust domain",
        "The trust domain of the peer's identity differs from the expected or own one.",
        "Both trust domains.",
        "Set `trustDomain` and `trustDomainAliases` of the mesh configurations so that both sides accept each other.";
    ClientUntrusted = "client-untrusted", "the peer does not know the root of our certificate",
        "The peer refused the certificate that was given: it leads to a root that the peer does not have.",
        "The alert `unknown_ca` (48), or `decrypt_error` (51) where the peer has another root of the same name.",
        "Give a certificate of the same mesh, or distribute both roots.";
    ClientExpired = "client-expired", "the peer finds our certificate out of date",
        "The certificate that was given has expired or is not valid yet, by the peer's clock.",
        "The alert `certificate_expired` (45).",
        "Give a fresh certificate; compare clocks.";
    ClientRejected = "client-rejected", "the peer refuses our certificate",
        "The peer refused the certificate that was given for a reason of its own; Istio's proxies answer so to another trust domain.",
        "The alert `certificate_unknown` (46); another alert has a remedy of its own.",
        "Give a certificate of the peer's trust domain, with an identity of a workload.";
    ClientWrongUsage = "client-wrong-usage", "our certificate is not for clients",
        "The extended key usage of the certificate that was given lacks client authentication.",
        "The alert `unsupported_certificate` (43).",
        "Have the certificate issued for both servers and clients.";
    ClientDenied = "client-denied", "the peer bars our certificate",
        "The certificate that was given is valid, and was refused by a rule, as a revocation list.",
        "The alert `access_denied` (49) or `certificate_revoked` (44).",
        "Look at the revocation list that the peer uses.";
    Draining = "draining", "the peer is about to stop",
        "The peer accepts no more requests on its connections: its pod is ending, or a successor takes over.",
        "GOAWAY with `NO_ERROR`.",
        "Try again; if it lasts, look at the rollout of the proxy.";
    Http2Error = "http2-error", "HTTP/2 with the peer broke",
        "The peer does not follow HTTP/2, floods us, or holds us for one who does so.",
        "GOAWAY with an error, a broken frame, too many of a kind, or the end of the connection.",
        "Something between the two may speak for the peer; look at the peer's log.";
    Http2Stalled = "http2-stalled", "the peer never answers in HTTP/2",
        "TLS stands and HTTP/2 does not begin: a proxy without processor time, or a path that loses larger packets.",
        "No SETTINGS, or no answer to PING, within the time of the step.",
        "Look at the proxy's CPU limit; try smaller packets on the path (MTU).";
    ConnectBadRequest = "connect-bad-request", "the peer does not serve this target",
        "The peer found the request for the target wrong: Istio's proxies answer so when the target's address is not the address that was connected to, as behind a port-forward or NAT. Other servers of HTTP answer so because they are no proxies of the mesh.",
        "Status 400 or 421, or one that proxies of the mesh do not have, which has a remedy of its own.",
        "Connect to the address of the pod itself, and give a target with the same address.";
    ConnectDenied = "connect-denied", "a policy denies the connection",
        "The identity of our certificate may not connect to the target.",
        "Status 401 or 403, or 407 of another kind of proxy.",
        "Look at the AuthorizationPolicies of the target (`kubectl ambient policy explain`); the peer's log names the one that decided.";
    ConnectNotFound = "connect-not-found", "the peer does not know the target",
        "A waypoint has no such Service or port.",
        "Status 404.",
        "Look whether the Service uses this waypoint (condition `WaypointBound`), and at the port.";
    ConnectUnavailable = "connect-unavailable", "the peer cannot reach the target",
        "The application does not accept connections, the peer does not know its workload (yet), or takes no more requests.",
        "Status 503, or another of that class, or 429.",
        "Check that the application listens on the port on its pod's address, and not on 127.0.0.1 only.";
    ConnectUpstreamTimeout = "connect-upstream-timeout", "the target does not answer the peer",
        "The peer waited for the target in vain.",
        "Status 504.",
        "Look at policies between the waypoint and the target, and at the target.";
    ConnectStalled = "connect-stalled", "the peer never answers the request",
        "HTTP/2 works, and the request for the target gets no answer.",
        "No status within the time of the step.",
        "The peer may be waiting for the application (up to 10 s) or the control plane: try a longer `--timeout`, and look at its log.";
    StreamReset = "stream-reset", "the peer reset the tunnel",
        "The peer ended this one tunnel with an error; the connection stands.",
        "RST_STREAM, with its reason.",
        "Look at the peer's log; a policy that came into force does this, as does an application that resets.";
    AppClosed = "app-closed", "the application closed the connection",
        "The tunnel was there, and the application ended the connection: at once, as one does that expects TLS or the PROXY protocol, or on what was sent, when it was not to its liking or too much.",
        "End of the stream, with how much had been sent and had come back by then.",
        "Speak the application's protocol to it from a pod that is not in the mesh, to compare.";
    DataStalled = "data-stalled", "octets get stuck or changed in the tunnel",
        "Small pieces arrive and larger ones do not, in one direction or the other: packets are lost for their size, or somebody stopped reading. Or octets come that are not those that were sent: HTTP/2 is as it should be, and what it carries is not, which has a remedy of its own.",
        "The first size that was not answered for, or did not come back from an application that sends back what it gets, within the time of the step; or the first octet that came back changed.",
        "Compare the MTU of the nodes' and pods' interfaces and of the path between the nodes.";
}

impl Cause {
    /// Whether the peer said it of a certificate that it was shown.
    pub(super) fn is_of_client(self) -> bool {
        matches!(
            self,
            Self::ClientUntrusted
                | Self::ClientExpired
                | Self::ClientRejected
                | Self::ClientWrongUsage
                | Self::ClientDenied
        )
    }

    /// The cause of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|cause| cause.name() == name)
    }
}

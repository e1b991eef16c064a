//! Area 02: workloads, Services and Istio's routing objects.

use ambient_facts::{annotations, labels, ports};

area! {
    HOST_NETWORK = "AMB0201", Warning,
        "host network keeps pods out",
        "These pods use the network of their node, and the node agent captures only pods with a network of their own. \
         They never get a mesh identity, even where their namespace is enrolled. \
         Servers on other nodes that demand mutual TLS refuse them, and policies can know them by the addresses of the nodes only. \
         To enrolled pods on their own node ztunnel does not see their connections at all, and no policy of Istio applies to these.",
        "Remove `spec.hostNetwork` if the workload does not need it; otherwise allow the nodes by address where it has to connect, and, to pods on its own node, the address that `AMB0161` tells of.";

    WINDOWS_POD = "AMB0202", Warning,
        "Windows pods stay out",
        "The node agent and ztunnel run on Linux nodes only. \
         Pods that are scheduled to Windows nodes are not captured and get no mesh identity. \
         They keep talking in plaintext, and servers that demand mutual TLS refuse them.",
        text!("Label the pod template `", labels::DATAPLANE_MODE, "=none` to make this visible, and keep `mtls.mode: PERMISSIVE` at their servers.");

    SIDECAR_WITHOUT_TUNNEL = "AMB0203", Error,
        "sidecar that does not speak the tunnel",
        text!(
            "A pod has a sidecar that was injected before ambient support was switched on, so it does not accept the tunnel on port ", ports::HBONE_TEXT, ". ",
            "Ambient clients then talk to it in plaintext, because nothing announces that it could do more. ",
            "With strict mutual TLS it refuses them, and without it the traffic is silently not encrypted.",
        ),
        "Set `ISTIO_META_ENABLE_HBONE` in `meshConfig.defaultConfig.proxyMetadata`, then restart the workload with `kubectl rollout restart`.";

    OPTED_OUT_OF_INJECTION = "AMB0204", Warning,
        "pods that opted out of the mesh",
        text!(
            "These pods run without a sidecar in spite of injection, most often on purpose. ",
            "Enrolment does not look at injection settings: labelling the namespace captures them at once, while they run. ",
            "Connections that are open keep their old path, new ones go through the tunnel.",
        ),
        text!("Put the label `", labels::DATAPLANE_MODE, ": none` on the pod template first if they have to stay out.");

    ASKS_FOR_SIDECAR = "AMB0205", Warning,
        "pod template that asks for a sidecar",
        "The pod template itself asks for injection, so removing the label of the namespace is not enough. \
         Each restart gives the pods a sidecar again, and the node agent does not capture a pod that has one. \
         The workload then stays in sidecar mode without anybody noticing.",
        text!("Set `", labels::SIDECAR_INJECT, ": \"false\"` on the pod template, and remove `", annotations::INJECT_TEMPLATES, "`.");

    SIDECAR_HOOK = "AMB0206", Warning,
        "command that talks to the sidecar",
        "A command, hook or environment value calls the sidecar: to end it when a job is done, or to wait until it is ready. \
         Without a sidecar nothing listens there. \
         A job that insists on the call fails or never ends, and a container that waits for readiness never starts.",
        "Remove the call from `command`, `args` or `lifecycle`, or let it fail without consequence while both modes exist.";

    PROXY_PORT_USED = "AMB0207", Warning,
        "use of a port that only a sidecar has",
        "The workload is configured with a port of the sidecar in its own pod. \
         In ambient mesh there is no proxy in the pod, and the port is closed. \
         Scrapes and calls to it fail after the move.",
        "Point the setting at the application itself, or remove it from `env`, `args` or the annotations.";

    METRICS_MERGED = "AMB0208", Warning,
        "metrics merged by the sidecar",
        "Prometheus scrapes these pods through the sidecar, which merges the metrics of the application with its own. \
         Without a sidecar that port is closed and the scrape fails. \
         HTTP metrics of the mesh then come from a waypoint, if there is one.",
        text!("Set `", annotations::SCRAPE_PORT, "` to the port of the application, and remove `", annotations::MERGE_METRICS, "`.");

    RESERVED_PORT = "AMB0209", Error,
        "port that the mesh keeps for itself",
        "The application listens on a port that ztunnel opens in the network of every captured pod. \
         One of the two cannot bind it, and ztunnel refuses to carry traffic to such a port. \
         After enrolment the port is unreachable from the mesh, or the pod does not start properly.",
        "Let the application listen on another port, and change `containerPort` and `targetPort` with it.";

    SECONDARY_NETWORK = "AMB0210", Warning,
        "secondary network interface",
        "The pods are attached to further networks beside the cluster's own. \
         Only the primary interface belongs to the mesh: traffic over the others is neither encrypted nor authorized. \
         Rules that capture traffic can also disturb forwarding between the interfaces.",
        text!("Check which connections use the networks of `", annotations::SECONDARY_NETWORKS, "`, and protect them by other means.");

    VIRTUAL_MACHINE = "AMB0211", Error,
        "virtual machine in the mesh",
        "A virtual machine is part of the mesh here, and ambient mesh has no ztunnel for machines outside of Kubernetes. \
         Istio calls the migration of such meshes unsupported. \
         The machine keeps its sidecar, and ambient workloads reach it in plaintext unless it accepts the tunnel.",
        text!("Keep the sidecar on the machine and set the label `", labels::TUNNEL, ": http` on its `WorkloadEntry` once it accepts the tunnel, or leave the namespace out with `--exclude`.");

    SPIRE_IDENTITY = "AMB0212", Error,
        "identity from SPIRE",
        "The pods take their certificates from SPIRE through an injection template. \
         ztunnel holds the certificates of all pods of a node and cannot fetch them from SPIRE for each. \
         Identities would change to those of the mesh's own authority, and peers that expect the old ones refuse them.",
        text!("Leave these pods out with the label `", labels::DATAPLANE_MODE, ": none`, or move them to the mesh's own certificates first.");

    CAPTURE_EXCLUSION = "AMB0213", Warning,
        "sidecar traffic exclusion without effect",
        "An annotation keeps some ports or addresses away from the sidecar, and ambient mesh does not read it. \
         All TCP traffic of the pod is captured from now on, the excluded part too. \
         Protocols that do not survive a proxy, and servers that expect plaintext from this pod, are where it shows.",
        text!("Check the excluded ports; where they have to stay untouched keep the pod out with `", labels::DATAPLANE_MODE, ": none`, or its inbound traffic with the annotation `", annotations::BYPASS_INBOUND_CAPTURE, "`.");

    NOT_CAPTURED_PROTOCOL = "AMB0214", Info,
        "traffic that the mesh does not carry",
        "Ambient mesh carries TCP. \
         UDP and SCTP leave the pod as before: not encrypted, not authorized, judged by network policies alone. \
         Nothing changes for them, and nothing is gained.",
        "Keep the rules with `protocol: UDP` or `protocol: SCTP` in the network policies.";

    EXTERNAL_NAME = "AMB0215", Info,
        "Service that is only a name",
        "A Service of type ExternalName is an alias for another name. \
         ztunnel resolves it and passes the connection on unmeshed, and a waypoint cannot serve it. \
         Some releases failed to resolve such names with DNS capture on.",
        "Check the name from an enrolled pod, or replace the Service by a `ServiceEntry`.";

    ROUTING_IGNORED = "AMB0216", Error,
        "routing rules that nothing applies",
        "A VirtualService routes requests inside of the mesh, and its host has no waypoint. \
         Sidecars apply such rules at the client; ztunnel does not read HTTP and ignores them. \
         Splits, retries, timeouts, rewrites and faults stop working without an error, and every endpoint of the Service gets its share of the traffic.",
        "Put a waypoint in front of the Service with `--waypoint`, or delete the rules if they do no more than plain forwarding.";

    TRAFFIC_POLICY_IGNORED = "AMB0217", Warning,
        "traffic policy that nothing applies",
        "A DestinationRule sets load balancing, connection limits, outlier detection or subsets for a host without a waypoint. \
         Only a waypoint reads it in ambient mesh. \
         Circuit breakers and connection limits are silently gone after the move.",
        "Put a waypoint in front of the Service with `--waypoint`, or delete the object if nobody relies on it.";

    ENVOY_FILTER_IGNORED = "AMB0218", Warning,
        "EnvoyFilter without effect",
        "An EnvoyFilter changes the configuration of sidecars, and neither ztunnel nor a waypoint reads it. \
         What it added is gone after the move: rate limits, header changes, scripts. \
         Filters that are meant for gateways go on to work.",
        "Look for a replacement, a `WasmPlugin` that targets the waypoint for example, before the workload moves.";

    SIDECAR_SCOPE_IGNORED = "AMB0219", Warning,
        "Sidecar object without effect",
        "A Sidecar object limits which hosts the proxies of a namespace know, and ambient mesh does not read it. \
         If it was used to keep egress closed, egress is open after the move: ztunnel passes connections to unknown hosts through. \
         If it was used to save memory it is not needed any more.",
        "Keep egress closed with a NetworkPolicy that has `policyTypes: [Egress]`, or with an egress waypoint, then delete the object.";

    EXTENSION_IGNORED = "AMB0220", Warning,
        "proxy extension without effect",
        "A WasmPlugin or Telemetry object is meant for the proxies of workloads, and there is no HTTP proxy in ambient pods that could apply it. \
         A waypoint applies such objects when they target it. \
         What the object adds to requests, logs or metrics is missing after the move.",
        "Name the waypoint or the Service in `spec.targetRefs`, in place of `spec.selector`.";

    ROUTE_IGNORED = "AMB0221", Error,
        "routes of a Service that nothing applies",
        "A route of the Gateway API has a Service as its parent, and no waypoint serves it. \
         Sidecars apply such routes at the client; ztunnel does not read HTTP and ignores them, those for TCP and TLS too. \
         Redirects, splits, timeouts and filters stop working without an error, and what the route kept away from the Service reaches it.",
        "Put a waypoint in front of the Service with `--waypoint`, or delete the route if it does no more than plain forwarding.";

    LOOKUPS_LOST = "AMB0222", Error,
        "look-ups that go where egress policies refuse them",
        text!(
            "The pods name DNS servers of their own in `dnsConfig`, or ask those of the node (`dnsPolicy: Default`), and ztunnel takes the look-ups of captured pods, whichever server they are sent to. ",
            "It asks the servers that it has itself, those of the cluster, from the network of the pod. ",
            "The egress policies that isolate the pods do not allow that, so no name is resolved after enrolment.",
        ),
        text!("Annotate the pods with `", annotations::DNS_CAPTURE, ": \"false\"`, or allow the DNS of the cluster in an egress policy.");

    NAME_SERVERS_REPLACED = "AMB0223", Warning,
        "name servers of a pod that are no longer asked",
        text!(
            "The pods name DNS servers of their own in `dnsConfig`, or ask those of the node (`dnsPolicy: Default`), and ztunnel takes the look-ups of captured pods, whichever server they are sent to. ",
            "It asks the servers that it has itself, those of the cluster. ",
            "Names that only the servers of the pods know are not found any more, or mean something else.",
        ),
        text!("Annotate the pods with `", annotations::DNS_CAPTURE, ": \"false\"` if they need these servers.");

    NAME_SERVER_NOT_ASKED = "AMB0224", Warning,
        "name server that pods in the mesh do not reach",
        text!(
            "A DNS server other than that of the cluster runs in it, and ztunnel takes the look-ups of captured pods, whichever server they are sent to. ",
            "What pods in the mesh ask this one, by its Service or by the address of its pods, is answered by ztunnel and the DNS of the cluster. ",
            "Names that only this server knows are not found by them.",
        ),
        text!("Annotate the pods that ask it with `", annotations::DNS_CAPTURE, ": \"false\"`.");

    UNKNOWN_HOSTS_LET_OUT = "AMB0225", Warning,
        "connections to unknown hosts that are no longer refused",
        "The MeshConfig has `outboundTrafficPolicy.mode: REGISTRY_ONLY`, so that sidecars refuse connections to hosts that no Service and no ServiceEntry declares. \
         ztunnel does not read it: it passes such connections through. \
         What pods with a sidecar may reach outside of the cluster is open after the move, as far as no network policy refuses it.",
        "Keep egress closed with a NetworkPolicy that has `policyTypes: [Egress]`, or with an egress waypoint.";
}

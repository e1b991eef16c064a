//! Area 06: waypoints.

use ambient_facts::{labels, ports};

area! {
    WAYPOINT_MISSING = "AMB0601", Error,
        "waypoint that does not exist",
        text!(
            "A label `", labels::USE_WAYPOINT, "` names a waypoint that is not there. ",
            "Traffic does not wait for it: it goes to the pods directly, and every policy and route that the waypoint should apply is skipped. ",
            "An object's own label also hides the working waypoint of its namespace. ",
            "Only the condition `WaypointBound` on the object shows it.",
        ),
        "Create the waypoint first, with `istioctl waypoint apply --namespace NAMESPACE --name NAME`, and label afterwards.";

    WAYPOINT_MALFORMED = "AMB0602", Error,
        "Gateway that is not a waypoint",
        text!(
            "A label `", labels::USE_WAYPOINT, "` names a Gateway that cannot serve as a waypoint. ",
            "A waypoint has the class `", labels::WAYPOINT_CLASS, "` and one listener with protocol HBONE on port ", ports::HBONE_TEXT, ". ",
            "Traffic goes to the pods directly, and no policy of the waypoint is applied.",
        ),
        text!("Set `spec.gatewayClassName: ", labels::WAYPOINT_CLASS, "` and one listener with `protocol: HBONE` and `port: ", ports::HBONE_TEXT, "`.");

    WAYPOINT_REFUSES_NAMESPACE = "AMB0603", Error,
        "waypoint that refuses the namespace",
        text!(
            "A label `", labels::USE_WAYPOINT, "` names a waypoint of another namespace whose listener does not let this one attach. ",
            "Without `allowedRoutes` a waypoint serves its own namespace only. ",
            "Traffic goes to the pods directly, and every policy and route of the waypoint is skipped.",
        ),
        "Set `spec.listeners[].allowedRoutes.namespaces.from` of the waypoint to `All`, or to `Selector` with labels of the namespace.";

    WAYPOINT_TRAFFIC_TYPE = "AMB0604", Error,
        "waypoint for another kind of traffic",
        text!(
            "A waypoint takes traffic to Services, traffic to pod addresses, or both, as its label `", labels::WAYPOINT_FOR, "` says; without the label it takes Services only. ",
            "This object uses a waypoint that does not take its kind of traffic. ",
            "The traffic goes to the pods directly, and no policy of the waypoint is applied.",
        ),
        text!("Set the label `", labels::WAYPOINT_FOR, "` of the Gateway to `all`, `service` or `workload` as the object needs it.");

    WAYPOINT_NOT_ADMITTED = "AMB0605", Error,
        "policy that refuses the waypoint",
        "Behind a waypoint the pods see one source only, the service account of the waypoint. \
         Their policies do not let it in, so ztunnel refuses every request that comes through the waypoint. \
         Clients see status 503, and the log of the destination's ztunnel names the policy.",
        "Add an ALLOW AuthorizationPolicy with the waypoint's service account under `principals`, or add it to `notPrincipals` of the policy that denies.";

    SOURCE_HIDDEN_BY_WAYPOINT = "AMB0606", Error,
        "source condition that the waypoint hides",
        "A policy with a selector decides by the identity or address of the source, and the pods are behind a waypoint. \
         ztunnel sees the waypoint as the source of all that comes through it, and can no longer tell its clients apart. \
         A rule that denies certain sources stops denying them, and whoever reaches the waypoint is admitted with it.",
        "Copy the policy with `spec.targetRefs` to the Service: a waypoint sees the identity of the client.";

    HEADLESS_WITH_WAYPOINT = "AMB0607", Warning,
        "headless Service with a waypoint",
        "A headless Service has no address of its own, so its clients connect to pod addresses. \
         A waypoint that takes Service traffic never sees these connections. \
         HTTP policies and routes for the Service are skipped.",
        text!("Set the label `", labels::WAYPOINT_FOR, ": all` on the Gateway and use it for the pods, or give the Service a cluster address.");

    WAYPOINT_BYPASSED = "AMB0608", Warning,
        "way around the waypoint",
        text!(
            "The Service is reachable from outside of the cluster, and such traffic goes to the pods directly. ",
            "Only clients in ambient mesh, and ingress gateways that are told so, pass through a waypoint. ",
            "Policies and routes of the waypoint do not hold for these callers.",
        ),
        text!("Let traffic in through a gateway, with the label `", labels::INGRESS_USE_WAYPOINT, ": \"true\"` on the Service, or refuse other sources with a DENY policy that has `notPrincipals`.");

    SPLIT_SERVICE = "AMB0609", Error,
        "Service whose pods have different limits",
        "The Service selects pods that the network policies treat differently, and it is reached through a waypoint. \
         The waypoint chooses among all pods, so a client that may reach only some of them reaches them all, or is refused at random. \
         A policy at the waypoint is about the Service as a whole and cannot repair this.",
        "Split the Service by its `spec.selector`, one per group of pods, or set its label for the waypoint to `none`.";

    WAYPOINT_CLOSED = "AMB0610", Info,
        "policy closed to the waypoint",
        "Connections to a Service with a waypoint reach the waypoint first, and the server sees the waypoint as the client. \
         The policy lets the clients reach the server, but lets neither of them exchange tunnel traffic with the waypoint. \
         The plan opens that way for the pods of this waypoint alone.",
        "Apply the plan's change of this policy, in files with `--write`, before the Service uses the waypoint.";

    ROUTING_NOT_SEEN = "AMB0611", Error,
        "routing rules that the waypoint does not see",
        "Sidecars apply a VirtualService at the client, so it may live in the namespace of the client, and may choose rules by the labels of the client. \
         A waypoint stands before the Service: it reads the objects of the Service's namespace and its own, and knows the client by identity only. \
         Rules that it does not see have no effect, without an error.",
        "Move the VirtualService to the namespace of the Service, and replace `sourceLabels` by a condition that a waypoint can evaluate.";

    WAY_NOT_ANALYSED = "AMB0612", Error,
        "way through a waypoint that is not analysed",
        "Traffic takes a way through a waypoint that the comparison does not follow: to the hosts of a ServiceEntry, to a Service without a selector, or past a network plugin that takes the waypoint for the client. \
         For these connections nothing is proved, and no policy is written, so some may be lost or gained.",
        "Give the Gateway the traffic type `service`, or take the Service off the waypoint with the label value `none`, and run `kubectl ambient migrate` again.";

    WAYPOINT_IN_USE = "AMB0613", Warning,
        "waypoint in use before what is behind it is captured",
        "Clients in the mesh reach a Service with a waypoint through it from the moment that they are enrolled. \
         Until the pods behind it are captured too, the waypoint reaches them in the clear: from its own address, on their own ports. \
         Network policies that isolate the pods know their clients and not the waypoint, so connections may be lost, or allowed for clients that the policies refuse, as long as enrolment lasts. \
         The comparison is about the time after it.",
        "Take the label `istio.io/use-waypoint` off until every pod behind the waypoint is captured, or enrol and restart these pods before their clients; then put it back.";

    OTHER_WAYPOINT = "AMB0614", Error,
        "namespace with the label of another waypoint",
        "The option `--waypoint` asks for a waypoint of a namespace whose label names another one. \
         What is served by a waypoint, the label decides, so that the plan and its proof are about the one that it names, and the one that was asked for would serve nothing.",
        "Take the label `istio.io/use-waypoint` off the namespace, or leave the option out.";
}

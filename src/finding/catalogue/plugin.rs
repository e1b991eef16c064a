//! Area 08: the network plugin.

use ambient_facts::ports;

area! {
    POLICY_INERT = "AMB0801", Warning,
        "network policies without effect",
        "The network plugin of this cluster does not enforce network policies: all pods reach each other today, whatever the policies say. \
         The plan leaves them out and compares with what is open today. \
         The mesh does enforce AuthorizationPolicies, however: port limits made from these policies would begin to refuse connections that work.",
        "Say which network plugin there is with `--cni` if this is wrong; otherwise nothing has to be done, or delete the policy.";

    PROBES_BLOCKED = "AMB0802", Error,
        "kubelet probes blocked",
        "The node agent gives probes of the kubelet a source address of their own, so that they bypass the mesh. \
         This network plugin judges by source address and knows only the node's own as always allowed. \
         Pods under a policy that isolates them for ingress fail their probes right after enrolment, and are restarted again and again.",
        "Let the plan add the `ipBlock` of the probe address, limited to the probe ports, beside each isolating policy.";

    PROBES_CNI_UNKNOWN = "AMB0803", Warning,
        "kubelet probes may be blocked",
        "The node agent gives probes of the kubelet a source address of their own. \
         Some network plugins refuse it to pods that a policy isolates for ingress, others do not, and what that of the cluster does is not known here. \
         If it refuses, the pods fail their probes right after enrolment.",
        "Say which network plugin the cluster has with `--cni`.";

    PLUGIN_SETTING = "AMB0804", Error,
        "setting of the network plugin that breaks ambient mesh",
        "The network plugin is configured in a way that ambient mesh cannot work with. \
         Depending on the setting pods are not captured at all, connections bypass the tunnel, or probes never reach the pods. \
         Nothing in the status of the mesh says so.",
        "Change the setting with the plugin's own installer, through `helm upgrade` for example, before any namespace is enrolled.";

    PLUGIN_MESH = "AMB0805", Error,
        "network plugin with a mesh of its own",
        text!(
            "The network plugin runs a ztunnel of its own and would capture the same pods. ",
            "Two meshes in one pod fight for the same traffic and for port ", ports::HBONE_TEXT, ". ",
            "Which of them wins depends on the order in which they start.",
        ),
        "Switch the plugin's own mesh off, `encryption.type` in Cilium's values, or leave its namespaces out with `--exclude`.";

    PLUGIN_DENIES_PORT = "AMB0806", Error,
        "denied port that the tunnel hides",
        text!(
            "A policy of the network plugin denies connections by port. ",
            "Between mesh workloads the plugin sees only port ", ports::HBONE_TEXT, ", so the rule matches nothing there from the moment of enrolment, without any change to the policy. ",
            "Connections that are refused today go through, and nothing reports it.",
        ),
        "Add an AuthorizationPolicy with `action: DENY` and the same `ports` for the pods before their namespace is enrolled.";

    PLUGIN_READS_APPLICATION = "AMB0807", Error,
        "rule about the application protocol that the tunnel hides",
        "A policy of the network plugin has rules about HTTP or another application protocol. \
         Between mesh workloads the plugin sees only mutual TLS, which it cannot read. \
         Depending on the plugin the connections are refused, or the rules are skipped.",
        "Write the rules as an AuthorizationPolicy with `targetRefs`, enforced by a waypoint, and remove them from the plugin's policy.";
}

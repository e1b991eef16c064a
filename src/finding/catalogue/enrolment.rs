//! Area 03: enrolment of namespaces and pods.

use ambient_facts::{annotations, labels};

area! {
    INJECTION_IN_AMBIENT = "AMB0301", Warning,
        "sidecar injection in an enrolled namespace",
        text!(
            "The namespace asks for sidecar injection and will be labelled for ambient mesh as well. ",
            "The injector does not look at the label of ambient mesh: every pod that is restarted gets a sidecar, and the node agent does not capture pods that have one. ",
            "The namespace then stays in sidecar mode although it looks enrolled.",
        ),
        text!("Remove the labels `", labels::INJECTION, "` and `", labels::REVISION, "` from the namespace, then restart its workloads with `kubectl rollout restart`.");

    UNKNOWN_DATAPLANE_MODE = "AMB0302", Error,
        "unknown value of the enrolment label",
        text!(
            "The label `", labels::DATAPLANE_MODE, "` has a value that means nothing to ambient mesh. ",
            "Only `", labels::AMBIENT, "` and `", labels::NONE, "` are known, and any other value is treated as if the label were missing. ",
            "Whoever reads the object believes that something was decided.",
        ),
        text!("Set `", labels::DATAPLANE_MODE, "` to `", labels::AMBIENT, "` or `", labels::NONE, "`.");

    NOT_CAPTURED = "AMB0303", Warning,
        "pod of the mesh that was not captured",
        text!(
            "The labels ask for ambient mesh, the pod runs, and its annotation `", annotations::REDIRECTION, "` does not say that the node agent captured it. ",
            "It sends and receives in the clear, no policy of Istio holds there, and servers that demand mutual TLS refuse it. ",
            "The plan compares what becomes of it once it is captured, which may be at any time.",
        ),
        text!("Look at the log of the node agent (`istio-cni`) on the node of the pod, and restart the pod.");
}

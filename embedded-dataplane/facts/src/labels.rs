//! Label keys and values (istio/api `label/labels.gen.go`, Gateway API, Kubernetes).

/// Enrolment of a namespace or pod: [`AMBIENT`] or [`NONE`]; a pod's own label wins.
pub const DATAPLANE_MODE: &str = "istio.io/dataplane-mode";
/// Value of [`DATAPLANE_MODE`] that enrols.
pub const AMBIENT: &str = "ambient";
/// Value of [`DATAPLANE_MODE`] and [`USE_WAYPOINT`] that opts out.
pub const NONE: &str = "none";
/// Waypoint of a namespace, Service, ServiceEntry or workload: a Gateway's name.
pub const USE_WAYPOINT: &str = "istio.io/use-waypoint";
/// Namespace of the Gateway that [`USE_WAYPOINT`] names, when it is another one.
pub const USE_WAYPOINT_NAMESPACE: &str = "istio.io/use-waypoint-namespace";
/// What a waypoint takes: `service` (default), `workload`, `all` or `none`; on the Gateway.
pub const WAYPOINT_FOR: &str = "istio.io/waypoint-for";
/// Sidecar injection of a namespace: `enabled` or `disabled`.
pub const INJECTION: &str = "istio-injection";
/// Revision of the control plane that injects into a namespace or pod.
pub const REVISION: &str = "istio.io/rev";
/// Sidecar injection of a pod (also read as annotation): `true` or `false`.
pub const SIDECAR_INJECT: &str = "sidecar.istio.io/inject";
/// `http` on a sidecar pod that accepts HBONE.
pub const TUNNEL: &str = "networking.istio.io/tunnel";
/// Name of the Gateway that a generated pod belongs to (Gateway API GEP-1762).
pub const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// Class of the Gateway that a generated pod belongs to.
pub const GATEWAY_CLASS_NAME: &str = "gateway.networking.k8s.io/gateway-class-name";
/// Marks pods and Services that the control plane generated for a Gateway.
pub const GATEWAY_MANAGED: &str = "gateway.istio.io/managed";
/// What the names of Istio's own GatewayClasses begin with.
pub const ISTIO_CLASSES: &str = "istio";
/// GatewayClass of a waypoint.
pub const WAYPOINT_CLASS: &str = "istio-waypoint";
/// GatewayClass of a gateway at the edge of the mesh.
pub const GATEWAY_CLASS: &str = "istio";
/// GatewayClass of a gateway between clusters.
pub const EAST_WEST_CLASS: &str = "istio-east-west";
/// Name of a namespace, on every namespace since Kubernetes 1.21.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Hash that a Deployment gives to the pods of one revision.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Name of the pod, on pods of a StatefulSet (`k8s.io/api` `apps/v1/types.go`).
pub const STATEFUL_POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Ordinal of the pod, on pods of a StatefulSet (the same file).
pub const POD_INDEX: &str = "apps.kubernetes.io/pod-index";
/// Name of the Job, on its pods (`k8s.io/api` `batch/v1/types.go`).
pub const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// The same, as it was called at first, and still is too.
pub const LEGACY_JOB_NAME: &str = "job-name";
/// Labels that controllers of Kubernetes give to single pods, or to the pods of one revision
/// (`k8s.io/api` `apps/v1/types.go`, `batch/v1/types.go`): the pods that come later have others.
pub const OF_ONE_REVISION: [&str; 10] = [
    POD_TEMPLATE_HASH,
    "controller-revision-hash",
    "pod-template-generation",
    STATEFUL_POD_NAME,
    POD_INDEX,
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/controller-uid",
    JOB_NAME,
    "controller-uid",
    LEGACY_JOB_NAME,
];
/// Those of them whose values nobody knows before the pods are there.
pub const OF_UNKNOWN_VALUE: [&str; 5] = [
    POD_TEMPLATE_HASH,
    "controller-revision-hash",
    "pod-template-generation",
    "batch.kubernetes.io/controller-uid",
    "controller-uid",
];
/// Both names of the label that pods of a Job have.
pub const JOB_NAMES: [&str; 2] = [JOB_NAME, LEGACY_JOB_NAME];
/// Labels that charts of Helm give to pods and that change with a release: the chart with its
/// version (Helm's best practices), and the recommended label for that of the application.
pub const OF_ONE_RELEASE: [&str; 2] = ["app.kubernetes.io/version", "helm.sh/chart"];
/// Recommended label that names the tool an object is managed by.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Our value of [`MANAGED_BY`].
pub const MANAGED_BY_AMBIENT: &str = "kubectl-ambient";
/// Value of [`GATEWAY_MANAGED`] for waypoints.
pub const MANAGED_WAYPOINT: &str = "istio.io-mesh-controller";
/// Value of [`GATEWAY_MANAGED`] for gateways at the edge of the mesh.
pub const MANAGED_GATEWAY: &str = "istio.io-gateway-controller";
/// Value of [`GATEWAY_MANAGED`] for east-west gateways.
pub const MANAGED_EAST_WEST: &str = "istio.io-eastwest-controller";
/// `true` on a Service or namespace whose ingress gateways pass through its waypoint.
pub const INGRESS_USE_WAYPOINT: &str = "istio.io/ingress-use-waypoint";
/// Operating system of a node; a node selector asks for it.
pub const NODE_OS: &str = "kubernetes.io/os";
/// Name of an application, in Istio's own charts among others.
pub const APP: &str = "app";
/// Key of the label that Istio's charts give to the node agent (istio-cni chart).
pub const K8S_APP: &str = "k8s-app";

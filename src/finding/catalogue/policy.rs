//! Area 01: network policies and authorization policies.

use ambient_facts::{addresses, annotations, labels, ports};

area! {
    LOST = "AMB0101", Error,
        "connections lost",
        text!(
            "Connections that the network policies allow today would be refused once both ends are in the mesh. ",
            "Between two mesh workloads a network plugin sees only the tunnel on port ", ports::HBONE_TEXT,
            ", whatever port the application asked for. ",
            "The client does not see a refusal: its connect succeeds, because its own ztunnel accepts, and the connection dies about ten seconds later.",
        ),
        text!(
            "Let the plan open the tunnel port in the policies that it names, or add a rule with `port: ",
            ports::HBONE_TEXT, "` for the same peers yourself.",
        );

    TUNNEL_CLOSED = "AMB0102", Info,
        "tunnel port closed",
        text!(
            "A rule of the policy grants some TCP ports to peers that will be in the mesh, and port ", ports::HBONE_TEXT, " is not among them. ",
            "Between mesh workloads the network plugin sees nothing but that port, so connections of today would time out after ten seconds. ",
            "The plan opens the port for exactly the same peers.",
        ),
        "Apply the plan's change of this policy, in files with `--write`, before the namespace is enrolled.";

    PORT_LIMIT_IN_TUNNEL = "AMB0103", Info,
        "port limit moves into the tunnel",
        text!(
            "The policy lets its peers use some ports only. ",
            "Once port ", ports::HBONE_TEXT, " is open to them, the network plugin no longer sees which port they mean. ",
            "The plan adds an AuthorizationPolicy that refuses every other port inside the tunnel and leaves plaintext alone. ",
            "A pod that asks for its own Service, and is led to itself, comes through the tunnel too: what its own account may not use is refused then, which no network policy does.",
        ),
        "Apply the plan's AuthorizationPolicy, in files with `--write`, before the namespace is enrolled.";

    LOST_TO_AUTHORIZATION = "AMB0104", Error,
        "connections that an authorization policy begins to refuse",
        "The network policies allow these connections today, and an AuthorizationPolicy refuses them once both ends are in the mesh. \
         Nothing enforces that policy today, because there is no sidecar at the destination, or one that mutual TLS is switched off at and that knows no client; ztunnel enforces it from enrolment on. \
         Or there is a sidecar that stays out of the mesh, and the connections come to it in the clear, from ztunnel or from a waypoint: then it does not learn who the client is. \
         Whether that is wanted only people can say.",
        "Change the AuthorizationPolicy so that it allows what is needed, or accept the finding with `--accept` when it is meant to refuse.";

    GAINED = "AMB0110", Error,
        "connections gained through the tunnel",
        text!(
            "The tunnel would carry connections that the network policies refuse today. ",
            "A network plugin cannot see the port inside the tunnel, so a peer that may reach port ", ports::HBONE_TEXT,
            " may reach every TCP port, unless an AuthorizationPolicy at the destination limits it. ",
            "Nothing fails when this happens, so only this comparison shows it.",
        ),
        "Give the sources service accounts of their own in `spec.serviceAccountName`, or accept the finding with `--accept`.";

    TUNNEL_PORT_OPEN_TO_ALL = "AMB0111", Warning,
        "tunnel port open to every peer",
        text!(
            "An ingress rule lets any peer reach port ", ports::HBONE_TEXT, ", and no AuthorizationPolicy limits which ports the tunnel may carry. ",
            "Because every mesh connection arrives at that port, the rule opens all TCP ports of the selected pods to all mesh workloads, whatever other ports it lists. ",
            "It is usually written to make ambient mesh work, and is far wider than it looks.",
        ),
        "Give the rule the `from` of the connections it is meant for, or keep the ports limited with a DENY AuthorizationPolicy that has `notPorts`.";

    SHARED_SERVICE_ACCOUNT = "AMB0112", Error,
        "one service account, different port limits",
        "Two groups of pods run under one service account, and the network policies allow them different ports of the same destination. \
         Network policies tell pods apart by labels, but inside the tunnel there is only the identity of the service account. \
         No AuthorizationPolicy can allow a port to one group and refuse it to the other, so the wider limit would hold for both.",
        "Give one of the groups a service account of its own in `spec.serviceAccountName` of its pod template, and run the plan again.";

    SELECTOR_NOT_EXPRESSIBLE = "AMB0113", Error,
        "pods that an AuthorizationPolicy cannot select",
        "The port limit of these pods has to be restored by an AuthorizationPolicy, whose selector knows `matchLabels` only. \
         No set of labels selects exactly these pods: the network policy uses `matchExpressions`, or the pods share all their labels with others that have another limit. \
         Without the policy the tunnel would carry every port to them.",
        "Add a label that only these pods have to `spec.template.metadata.labels` of the workload, and run the plan again.";

    PORT_LIST_TOO_LONG = "AMB0114", Error,
        "port range too long for an AuthorizationPolicy",
        "An AuthorizationPolicy lists single ports, and this limit has too many of them on both sides to be written out. \
         A network policy may say `endPort`; inside the tunnel there is no such thing. \
         Leaving the limit out would let the tunnel carry every port.",
        "Narrow the range between `port` and `endPort` to the ports that the containers use, and run the plan again.";

    EGRESS_LIMIT = "AMB0115", Error,
        "egress port limit that the mesh does not keep",
        "An egress rule limits which ports these pods may use at a destination that is open to them. \
         In the tunnel the network plugin sees only the tunnel's port, and ztunnel authorizes at the destination alone, never at the source. \
         The limit can only be kept by a policy at the destination that names the identity of the source, and that is not possible here.",
        "Give the source a service account of its own in `spec.serviceAccountName`, or accept the finding with `--accept`.";

    AUTHORIZATION_DISABLED = "AMB0116", Warning,
        "port limits not restored",
        "The plan was made without AuthorizationPolicies. \
         Opening the tunnel port keeps who may connect but gives up which ports they may use, so every port limit between mesh workloads is gone. \
         The connections that are gained are listed, and those of pods that the input does not hold as unknown.",
        "Run the plan with `--authz deny`, or put the limits back with policies of your own.";

    GAINED_IN_PLAINTEXT = "AMB0117", Error,
        "connections gained outside the tunnel",
        "A policy that an earlier run left behind, or that is added for a waypoint, allows connections in the clear that the other policies refuse today. \
         The plan itself opens nothing in the clear but the tunnel's port.",
        "Delete the policy that the plan no longer makes, or accept the finding with `--accept`.";

    LATER_PODS_NOT_LIMITED = "AMB0118", Warning,
        "pods that come later are not limited",
        "The policy limits ports, and no AuthorizationPolicy has its selector: it selects by `matchExpressions`, the pods that it selects need different limits, or those of another policy that selects them too are kept by its labels. \
         The limits are put back for every workload of the input that it selects, by labels of these. \
         A workload that comes later and is selected too, or a release with other labels, is reached through the tunnel on every port, until the plan is made again.",
        "Select by `matchLabels` that select pods with the same limits alone, or run the plan in CI so that new workloads get their limits.";

    LATER_CLIENTS_TOLD_BY_ACCOUNT = "AMB0119", Warning,
        "clients that come later are told by their account",
        "The policy admits clients by their labels, and inside the tunnel there are no labels, only service accounts. \
         The AuthorizationPolicy that keeps the port limit therefore names the accounts of the clients of the input, and nobody where all of these may use the same, or none of them anything. \
         A client that comes later under another account is refused by it, although the network policy admits it, until the plan is made again. \
         One that comes under the same account gets the ports of that account, whatever its labels are; `default` is the account of every pod that names none.",
        "Run the plan in CI so that new clients are compared and named, give clients accounts of their own in `spec.serviceAccountName`, and add the manifests of all of them with `-f`.";

    UNKNOWN_HOST_NETWORK = "AMB0120", Warning,
        "pods on the host network",
        "These pods share the network of their node, and Kubernetes does not define how a network policy sees them. \
         Most network plugins treat their traffic as the node's own, some match them by label. \
         Whether a connection is allowed can therefore not be said from the objects.",
        "Check the pairs by hand, or allow the addresses of the nodes with `ipBlock` where the connection is meant to work.";

    UNKNOWN_ADDRESS_BLOCK = "AMB0121", Warning,
        "address block that may match pods",
        "An `ipBlock` covers addresses that pods may have, and network plugins differ on whether a block matches pods at all. \
         In the mesh the answer decides whether the tunnel port has to be open for this rule. \
         The plan opens the port where the block may match pods, and reports the pairs as unknown. \
         Pods that the input does not hold may have such an address too: limits do not tell them from others without a known name, so that all of these may use what the block grants, and what this changes is reported.",
        "Name the network plugin with `--cni` and the addresses of pods with `--pod-cidr`, or select the pods with `podSelector` and `namespaceSelector` instead.";

    UNKNOWN_PLUGIN_POLICY = "AMB0122", Error,
        "policy kind that is not analysed",
        "A policy of a kind that this program does not evaluate decides about traffic here, so no verdict about these namespaces is certain. \
         Such policies matter in ambient mesh: a rule that denies by port stops matching once the traffic is in the tunnel, and then refuses nothing; a rule that allows by port stops allowing. \
         Neither shows as an error anywhere.",
        "Compare the rules with `ports` or `toPorts` of these policies with the plan by hand, then accept the finding with `--accept`.";

    UNRESOLVED_NAMED_PORT = "AMB0123", Warning,
        "named port that no pod declares",
        "A rule names a port that no container of the pods it applies to declares. \
         Named ports are looked up on each destination pod, and pods without the name contribute nothing, so the rule allows nothing there. \
         An AuthorizationPolicy knows numbers only, so the limit cannot be restored from the name either.",
        "Declare the port under `containers[].ports` with that `name`, or write its number into the rule.";

    UNKNOWN_PEER = "AMB0124", Warning,
        "peer that is not in the input",
        "A rule allows a peer that selects no pod of the input, or pods of the same kind may come that the input does not hold. \
         Their service accounts are not known here, and a policy that limits the tunnel's ports by identity would refuse them. \
         The plan keeps the rule and opens the tunnel for them all the same. \
         Where no limit refuses them what the rules do not grant, that is listed.",
        "Add the manifests of the peer with another `-f`, so that the plan knows its service account.";

    POLICY_SELECTS_NOTHING = "AMB0125", Info,
        "policy that selects no pod",
        "The policy selects no pod of the input. \
         It may be meant for pods that are not among the manifests, or be a left-over. \
         It is rewritten like any other, but nothing can be proved about it.",
        "Check `spec.podSelector`, or add the manifests of the pods with another `-f`.";

    NAMESPACE_UNDECLARED = "AMB0126", Info,
        "namespace without its object",
        "Objects live in this namespace but the Namespace itself is not in the input, so its labels are not known. \
         Whether rules that select namespaces by label select it is then not known, and such pairs are reported as unknown. \
         There is also no file in which its enrolment could be written, so the plan prints a command instead.",
        "Add the Namespace object to the manifests, or check the output of `kubectl get namespace NAME --show-labels`.";

    EDIT_REFUSED = "AMB0127", Warning,
        "file not edited",
        "The file holds something that cannot be edited without risk: an anchor or alias that several places share, a tag, or the braces of a template. \
         It is left as it is, byte for byte. \
         A companion object with the same effect is written beside it.",
        "Apply the companion, or make the change by hand as `--diff` shows it.";

    UNKNOWN_AUTHORIZATION = "AMB0128", Warning,
        "authorization policy whose effect cannot be told",
        "What an AuthorizationPolicy does to these connections depends on something that is not in the manifests: \
         on requests, on source addresses, on the trust domain, or on whether the pods have sidecars today that enforce it. \
         The comparison is therefore not certain about them.",
        "Add the Namespace objects with `-f`, so that sidecar injection is known, and the ConfigMap `istio` of the control plane, so that the trust domain is, and check the pairs by hand.";

    UNKNOWN_NAMESPACE = "AMB0129", Warning,
        "rule by labels of a namespace that is not in the input",
        "A rule selects namespaces by label, and either no Namespace of the input has the labels, or that of one of the two ends is not in the input. \
         The tunnel port is opened where it might be needed. \
         Pairs of which it is not known whether they are selected are reported as unknown; pods that the input does not hold have no name by which a policy could limit or except them.",
        "Add the Namespace object to the manifests, or select it by the label `kubernetes.io/metadata.name`.";

    DENY_HAS_NO_EFFECT = "AMB0130", Error,
        "deny rule that stops denying",
        "A DENY AuthorizationPolicy uses fields that only an HTTP proxy can read, and in ambient mesh ztunnel enforces policies with a selector. \
         It drops those fields, and an entry that is empty then matches nothing, so the rule refuses nothing any more. \
         Up to Istio 1.31 the status of the policy claims the contrary, that it became more restrictive. \
         Users observe nothing: requests that were refused before are simply answered.",
        "Copy the policy with `spec.targetRefs` to the Service, so that a waypoint enforces it, before the workload leaves its sidecar.";

    ALLOW_LOSES_RULES = "AMB0131", Error,
        "allow rule that stops allowing",
        "An ALLOW AuthorizationPolicy uses fields that only an HTTP proxy can read, and in ambient mesh ztunnel enforces policies with a selector. \
         It drops every rule that has such a field, while the policy goes on to refuse whatever none of its rules allows. \
         Callers see connections reset, and the log of the destination's ztunnel says that allow policies exist but none allowed.",
        "Copy the policy with `spec.targetRefs` to the Service, and allow the waypoint's service account in the policy with the selector.";

    DENY_GETS_BROADER = "AMB0132", Error,
        "deny rule that denies more",
        "A DENY AuthorizationPolicy combines fields that ztunnel evaluates with fields that only an HTTP proxy can read. \
         ztunnel drops the latter and enforces the rest, so the rule refuses more connections than it was written for. \
         Callers see connections reset that worked before.",
        "Copy the policy with `spec.targetRefs` to the Service, and keep only ports, principals, namespaces and addresses in the one with the selector.";

    TRUST_DOMAIN_IGNORED = "AMB0133", Error,
        "trust domain condition that is ignored",
        "An AuthorizationPolicy limits sources by `trustDomains` or `notTrustDomains`, which ztunnel cannot evaluate. \
         Up to Istio 1.31 they are dropped without a word: beside other conditions an ALLOW rule becomes wider, and alone they match nothing, so that a DENY rule refuses nothing. \
         Later releases treat them like fields of HTTP.",
        "Write the trust domain into `principals`, as in `cluster.local/ns/NAMESPACE/sa/NAME`.";

    EXTERNAL_AUTHORIZER_SKIPPED = "AMB0134", Error,
        "external authorizer not asked",
        "An AuthorizationPolicy with action CUSTOM asks an external authorizer, and ztunnel ignores such policies. \
         Once the workload has left its sidecar nobody asks the authorizer, and requests that it would have refused are answered. \
         A waypoint does ask it, for policies that target a Service or the waypoint.",
        "Copy the policy with `spec.targetRefs` to the Service, and put a waypoint in front of it.";

    AUDIT_HAS_NO_EFFECT = "AMB0135", Info,
        "audit policy without effect",
        "An AuthorizationPolicy with action AUDIT only marks requests for an audit, and neither ztunnel nor a waypoint does that. \
         No traffic is refused or let through because of it. \
         Whoever reads the audit log will miss the entries.",
        "Delete the policy, or log what it marked with a `Telemetry` object that targets the waypoint.";

    DRY_RUN_POLICY = "AMB0136", Info,
        "policy in dry run",
        text!(
            "An AuthorizationPolicy carries the annotation `", annotations::DRY_RUN, "`, which asks for evaluation without enforcement. ",
            "The control plane does not send it to ztunnel unless that is switched on, and a ztunnel before Istio 1.29 that gets it enforces it. ",
            "Do not expect its results in the logs of ambient workloads.",
        ),
        text!("Check the version of ztunnel before you rely on `", annotations::DRY_RUN, "`, or remove the policy.");

    JWT_NOT_CHECKED = "AMB0137", Error,
        "tokens not checked",
        "A RequestAuthentication checks the tokens of HTTP requests, and ztunnel does not read HTTP. \
         Without a waypoint nobody checks tokens any more: a forged or expired one reaches the application. \
         Authorization rules on request principals lose their meaning with it.",
        "Copy the object with `spec.targetRefs` to the Service, and put a waypoint in front of it.";

    TARGET_NOT_ENFORCED = "AMB0138", Error,
        "policy that nothing enforces",
        "A policy with `targetRefs` is enforced by the waypoint of its target and by nothing else. \
         Here the target does not exist where the policy looks for it, or no waypoint serves it. \
         The API accepts the object all the same, and everything that it was meant to refuse is allowed.",
        text!(
            "Label the target with `", labels::USE_WAYPOINT,
            "`, or replace `spec.targetRefs` by `spec.selector` if ztunnel can enforce the rules.",
        );

    SELECTOR_ON_WAYPOINT = "AMB0139", Error,
        "selector that means a waypoint",
        "A policy selects the pods of a waypoint by label, but a waypoint reads only policies that target it or its Services. \
         ztunnel does not enforce it either, because the waypoint's pods are not captured. \
         The policy is accepted and has no effect.",
        "Replace `spec.selector` by `spec.targetRefs` with the Gateway, in the namespace of the Gateway.";

    MTLS_DISABLED = "AMB0140", Error,
        "mutual TLS switched off",
        "A PeerAuthentication switches mutual TLS off for workloads that will be in the mesh. \
         Ambient mesh has no such mode: ztunnel encrypts between mesh workloads and treats the setting as permissive. \
         Whoever needs to read the traffic on the wire, a middlebox for example, no longer can, and Istio calls such a migration unsupported.",
        "Set `spec.mtls.mode` to `PERMISSIVE`, or keep the workloads out of the mesh.";

    STRICT_REFUSES_CALLERS = "AMB0141", Warning,
        "strict mutual TLS and callers without an identity",
        "A PeerAuthentication with mode STRICT refuses every connection without a mesh identity. \
         Workloads that stay out of the mesh have none, and their connections to these pods are reset. \
         What is listed are the workloads of enrolled namespaces that stay out; callers that are not in the input cannot be seen.",
        "Set `spec.mtls.mode` to `PERMISSIVE`, or except the ports that they use under `spec.portLevelMtls`.";

    STARTS_TO_BE_ENFORCED = "AMB0142", Warning,
        "policy that starts to be enforced",
        "The AuthorizationPolicy, or the PeerAuthentication with mode STRICT, is for pods that have no sidecar, as far as the input tells, so nothing enforces it today. \
         From enrolment on ztunnel does, for connections inside the tunnel and for plaintext ones. \
         What it refuses in the tunnel is compared, and of the plaintext of those who stay out of the mesh. \
         Clients that are enrolled later than these pods send plaintext until then: what it refuses of that depends on the order, so the verdict about it is unknown.",
        "Find out who sends to these pods in the clear, from outside of the mesh or before it is enrolled itself, and allow it in the policy, or enrol it first; in a PeerAuthentication with mode `PERMISSIVE`.";

    GAINS_IDENTITY = "AMB0143", Error,
        "connections that Istio refuses today",
        "The network policies allow these connections, and the sidecar of the destination, or the ztunnel that captures it already, refuses them today: \
         a PeerAuthentication asks for mutual TLS, or an AuthorizationPolicy does not allow the client, whom a sidecar does not know where mutual TLS is switched off. \
         In the mesh every client has an identity, and ztunnel may read less of the policy than a sidecar does, so the connections get through. \
         Or the policy denies them to one client, and this one comes without its identity, because ztunnel sends in the clear to a sidecar that takes no tunnel.",
        "Say in an AuthorizationPolicy at the destination which identities may connect, or accept the finding with `--accept`.";

    EMPTY_SELECTOR = "AMB0144", Error,
        "policy with an empty selector",
        "The AuthorizationPolicy has a `selector` without `matchLabels`. \
         A sidecar reads that as every pod of the namespace, and ztunnel is given such a policy for no pod at all. \
         What the policy denies today gets through in ambient mode.",
        "Remove `spec.selector`, so that every proxy applies the policy to the whole namespace, or write `matchLabels`.";

    LEFT_OVER = "AMB0150", Warning,
        "object of an earlier run that is no longer needed",
        "An object that this program made in an earlier run is not part of the plan any more: what it accompanied has changed or is gone. \
         It stays in force until somebody deletes it, and the comparison takes it into account. \
         Left behind, a policy that limits ports may refuse what its workload needs later. \
         An ALLOW policy is replaced by one that does nothing, since it would let in what other policies refuse.",
        "Delete the object, in the manifests and with `kubectl delete` in the cluster.";

    TEMPLATE = "AMB0151", Warning,
        "template that was not read",
        "The file is a template of Helm and holds no objects before it is rendered. \
         Policies and workloads that come out of it are missing from the plan and from the comparison, so no verdict is certain. \
         What the plan opens or limits may then be too much or too little.",
        "Render the chart and pipe it in: `helm template NAME CHART | kubectl ambient migrate -f -`.";

    REBUILT = "AMB0152", Error,
        "objects that kustomize moves or renames",
        "The files were read as they are, and a kustomization among them puts their objects into another namespace or gives them other names. \
         Kustomize does not change the namespaces and service accounts that an AuthorizationPolicy names, so the policies of this plan would refuse everybody once they are built. \
         The plan has to be made of what kustomize builds.",
        "Run `kubectl ambient migrate -k FOLDER --output-dir DIR` for each overlay, or name the namespace with `-n` where the objects name none.";

    NAMESPACE_LEFT_OPEN = "AMB0153", Warning,
        "namespace that kustomize may set",
        "The objects name no namespace, and neither does the kustomization that takes them, so another that is not in the input may set it. \
         The plan writes the namespace that it assumed into the principals of AuthorizationPolicies, and kustomize does not change them there. \
         Should an overlay choose another, the policies would refuse everybody.",
        "Run `kubectl ambient migrate -k OVERLAY --output-dir DIR` for each overlay, or name the namespace with `-n`.";

    UNKNOWN_SIDECAR = "AMB0154", Warning,
        "sidecar of which it is not known whether it takes the tunnel",
        "These pods stay out of the mesh behind a sidecar. A sidecar takes the tunnel where its pod has the label `networking.istio.io/tunnel: http`, which the injector adds where that is switched on, so that no manifest shows it. \
         The tunnel is opened to them, and whether these connections differ depends on whether they take it.",
        "Write the label into the template of the pods if their sidecars take the tunnel; else accept the finding with `--accept`.";

    UNLISTED = "AMB0155", Error,
        "added policies that no kustomization takes",
        "A file with policies that this program added is beside a kustomization that does not list it, and no other of the input does. \
         What is built then opens the tunnel and leaves out the port limits that belong to it: clients get ports that the network policies refuse, and nothing reports it. \
         The plan counts the policies as if they were applied.",
        "Add the file to `resources` of the kustomization.";

    REWORKED = "AMB0156", Error,
        "objects that kustomize changes",
        "The files were read as they are, and a kustomization among them changes what their objects say: policies, or the labels and fields that policies are about. \
         The plan and its proof are about the files, so neither holds for what is applied. \
         Fields that only choose images, numbers of pods or resources are not meant.",
        "Run `kubectl ambient migrate -k FOLDER --output-dir DIR` for each overlay, or pipe the output of `kubectl kustomize FOLDER` to `-f -`.";

    ROOT_NAMESPACES_DIFFER = "AMB0157", Warning,
        "root namespaces that differ",
        "Two control planes of the mesh name different namespaces in `rootNamespace`, whose policies hold everywhere. \
         Which of them holds for a pod depends on its revision, which is not followed, and there are policies in one of these namespaces. \
         The plan takes those of one to hold everywhere, and the verdict is *unknown*.",
        "Plan the namespaces of each revision on their own, with the ConfigMap of its control plane alone, or set `rootNamespace` in both to the same.";

    SELECTS_BY_GIVEN_LABEL = "AMB0158", Warning,
        "selector by a label that controllers give",
        "A policy selects pods by a label that Kubernetes itself gives to them, `pod-template-hash` for example, and that no manifest of a workload has. \
         Which pods it selects is known only when they run, and changes with the next revision. \
         The plan takes the policy to select none of the templates of the input, and the verdict is *unknown*.",
        "Select the pods by labels of `spec.template.metadata.labels`, or add the pods themselves with `-f`, as `kubectl get pods --output yaml` prints them.";

    MESH_CONFIG_UNREADABLE = "AMB0159", Warning,
        "mesh configuration that cannot be read",
        "A MeshConfig is there, and it is no YAML, or has fields of another kind than they are. \
         The control plane would keep the one before it, or not start. \
         The plan takes the trust domain and the root namespace to be the usual ones, and the verdict is *unknown*.",
        "Mend the text under `data.mesh` of the ConfigMap: it has to be YAML with the fields of a MeshConfig.";

    NAMESPACE_ASSUMED = "AMB0160", Warning,
        "identities of a namespace that was assumed",
        "The objects name no namespace, so `default` was assumed, and the plan writes it into the principals of AuthorizationPolicies. \
         The policies themselves name none either and go wherever they are applied. \
         Applied to another namespace with `kubectl apply -n`, they refuse the clients there, whose identities are not those that they name.",
        "Name the namespace with `-n NAMESPACE`, or in `metadata.namespace` of the objects.";

    NODE_ADDRESS_CHANGES = "AMB0161", Warning,
        "processes of a node that come from another address",
        text!(
            "The policy lets in addresses that nodes may have, and pods on the host network have these. ",
            "To an enrolled pod on the same node the node agent gives their connections the source address ",
            addresses::NODE_PROBE_TEXT, ", or ", addresses::NODE_PROBE_V6_TEXT, " where they use IPv6. ",
            "The rule goes on to let them in from other nodes, and no longer from their own, so that connections fail depending on where pods run.",
        ),
        text!("Add an `ipBlock` of `", addresses::NODE_PROBE_TEXT, "/32`, and of `", addresses::NODE_PROBE_V6_TEXT, "/128` for IPv6, to the rule.");

    OWN_SERVICE_REFUSED = "AMB0162", Info,
        "pods that may not call themselves by their Service",
        "A pod may always connect to itself, whatever network policies say, though network plugins differ where it does so by the address of its own Service. \
         In the mesh such a connection goes through the tunnel and comes back as that of any client, so the limits inside the tunnel hold for it, and they do not name the account of the pod. \
         What a pod sends to its own address, or to `localhost`, is not concerned.",
        "If the pods call themselves by the Service, add their own labels to the peers of the rule that opens the port (`spec.ingress`).";

    LIMITS_OVERLAP = "AMB0170", Warning,
        "limits that one pod may match together",
        "Network policies add up: a pod that two of them select may be reached on the ports of both. \
         Limits inside the tunnel are DENY policies, and of two that select the same pod each refuses what the other leaves open, so that such a pod is reached on the ports that both allow, or on none. \
         No pod of the input has the labels of both, but one may come, or get them when it runs.",
        "Add the manifests of the pods with `-f`, or select pods that are never the same by different values of one label.";

    LIMITS_OVERLAP_AT_RUN_TIME = "AMB0171", Error,
        "limits that pods match together once they run",
        "A limit is for pods of the input, and another for labels that no manifest has: such as an operator gives to pods that run, `role: primary` for example. \
         Limits inside the tunnel are DENY policies, and of two that select the same pod each refuses what the other leaves open, so that such a pod is reached on the ports that both allow, or on none.",
        "Give one NetworkPolicy the rules of both, add the manifests of the pods that have these labels with `-f`, or accept the finding with `--accept` where no pod gets both.";

    LIMITS_PODS_IN_MESH = "AMB0172", Error,
        "limits for pods that are in the mesh already",
        text!(
            "These pods are in the mesh, and network policies open port ", ports::HBONE_TEXT, ": their tunnels carry today whatever no AuthorizationPolicy refuses. ",
            "The plan takes what network policies list for what is wanted, and limits the tunnel to that, so that connections that work today would be refused.",
        ),
        "List the ports that are used in the NetworkPolicy beside the tunnel's, leave the limits out with `--authz none`, or accept the finding with `--accept` where the tunnel carries more than it should.";
}

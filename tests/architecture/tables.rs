//! What may use what. To allow something new, change a row here, and say why in the commit.

/// The modules of `src/`, low to high, each with the modules that it may name. A row may only name
/// rows above it, so there is no cycle. `lib.rs` declares modules, and is not one.
pub(crate) const MODULES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("yaml", &[]),
    // What it says of a tunnel is no finding on an object.
    ("probe", &[]),
    // It shows relays at work, and knows nothing of clusters.
    ("demo", &[]),
    ("finding", &["model"]),
    ("plan", &["model", "finding"]),
    ("netpol", &["model"]),
    ("authz", &["model", "netpol"]),
    ("source", &["model", "yaml"]),
    ("yamledit", &["model", "yaml", "plan"]),
    (
        "sink",
        &["model", "yaml", "finding", "plan", "source", "yamledit"],
    ),
    ("migrate", &["model", "finding", "plan", "netpol", "authz"]),
    ("reach", &["model", "netpol", "authz", "migrate"]),
    (
        "render",
        &[
            "model", "probe", "demo", "finding", "plan", "netpol", "yamledit", "sink",
        ],
    ),
    ("exit", &["finding"]),
    (
        "error",
        &["model", "demo", "finding", "source", "sink", "exit"],
    ),
    // `cli` takes the names of network plugins, and addresses, from where they are defined.
    ("cli", &["model", "probe", "finding", "migrate", "exit"]),
    // `settings` gives every part below its own options.
    (
        "settings",
        &[
            "model", "probe", "finding", "source", "sink", "migrate", "reach", "render", "exit",
            "error", "cli",
        ],
    ),
    (
        "commands",
        &[
            "model", "yaml", "probe", "demo", "finding", "plan", "netpol", "authz", "source",
            "yamledit", "sink", "migrate", "reach", "render", "exit", "error", "cli", "settings",
        ],
    ),
    ("main", &["exit", "error", "cli", "settings", "commands"]),
];

/// The packages of the workspace, low to high, each with those of ours that it may depend on.
/// Dev-dependencies are free. A row may only name rows above it.
pub(crate) const PACKAGES: &[(&str, &[&str])] = &[
    ("ambient-facts", &[]),
    ("ambient-identity", &["ambient-facts"]),
    ("ambient-hbone", &["ambient-facts"]),
    ("ambient-discovery", &["ambient-facts", "ambient-identity"]),
    ("ambient-runtime", &["ambient-facts"]),
    ("ambient-node", &["ambient-facts", "ambient-runtime"]),
    (
        "ambient-ztunnel",
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-hbone",
            "ambient-discovery",
            "ambient-runtime",
        ],
    ),
    (
        "ambient-waypoint",
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-hbone",
            "ambient-discovery",
            "ambient-runtime",
        ],
    ),
    (
        "ambient-control",
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-discovery",
            "ambient-runtime",
        ],
    ),
    (
        "ambient-testkit",
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-hbone",
            "ambient-discovery",
        ],
    ),
    (
        "ambient-proxy",
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-hbone",
            "ambient-ztunnel",
            "ambient-waypoint",
            "ambient-runtime",
        ],
    ),
    (
        "ambient-agent",
        &["ambient-node", "ambient-control", "ambient-runtime"],
    ),
    (
        "kubectl-ambient",
        // The demonstration runs relays.
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-hbone",
            "ambient-runtime",
            "ambient-ztunnel",
        ],
    ),
    // Benchmarks need what tests need, and are never shipped.
    (
        "ambient-xtask",
        &[
            "ambient-facts",
            "ambient-identity",
            "ambient-testkit",
            "kubectl-ambient",
        ],
    ),
];

/// Dependencies that only some packages may have: each is a privilege or a weight.
pub(crate) const PACKAGES_WITH: &[(&str, &[&str])] = &[
    (
        "clap",
        &["kubectl-ambient", "ambient-xtask", "ambient-proxy"],
    ),
    (
        "kube",
        &["kubectl-ambient", "ambient-control", "ambient-agent"],
    ),
    // Peers of tests misbehave in TLS too.
    ("rustls", &["ambient-identity", "ambient-testkit"]),
    ("tokio-rustls", &["ambient-identity", "ambient-testkit"]),
    ("rustls-webpki", &["ambient-identity"]),
    ("rcgen", &["ambient-identity", "ambient-testkit"]),
    // Everything else that speaks HTTP is a tunnel, and does so through `h2`.
    ("hyper", &["ambient-runtime", "ambient-waypoint"]),
    // Whoever connects asks the error queue of the socket who refused, or binds it without a port.
    ("nix", &["ambient-hbone", "ambient-node", "ambient-ztunnel"]),
    // Whoever ends hands its listeners to its successor.
    ("rustix", &["ambient-ztunnel"]),
];

/// Packages that may contain `unsafe` code. All others forbid it in their `lib.rs`.
pub(crate) const PACKAGES_WITH_UNSAFE: &[&str] = &["ambient-node"];

/// Paths that only some modules of `src/` may name, and why.
pub(crate) const MODULES_WITH: &[(&str, &[&str], &str)] = &[
    ("std::env", &["settings"], "settings are read once"),
    // `commands` appends to the step summary of a CI run.
    (
        "std::fs",
        &["source", "sink", "commands"],
        "analysis is pure",
    ),
    (
        "std::net::TcpStream",
        &[],
        "`ambient-hbone` connects, and can say why that failed",
    ),
    ("indicatif", &["commands"], "progress belongs to a command"),
    ("tokio::runtime", &["commands"], "only a command waits"),
    ("std::process::Command", &["source"], "only `-k` needs one"),
    ("std::thread", &[], "rayon owns the threads"),
    (
        "clap",
        &["cli", "main"],
        "commands get settings, not arguments",
    ),
    ("clap_complete", &["cli"], "completion is part of the tree"),
    ("comfy_table", &["render"], "only `render` formats"),
    ("granit_parser", &["yaml"], "there is one tree of YAML"),
    (
        "serde_yaml",
        &["yamledit", "sink"],
        "it is the second parser of the gate, and reads what patches are checked against",
    ),
    ("similar", &["render"], "only `render` formats"),
    (
        "tempfile",
        &["sink", "commands"],
        "only `sink` writes what stays; a command has a log while it runs",
    ),
];

/// Macros that nothing may call: what they print escapes `render`.
pub(crate) const BANNED_MACROS: &[&str] = &["print", "println", "eprint", "eprintln", "dbg"];

/// Literals that are facts about the outside: written in `ambient-facts`, named everywhere else.
pub(crate) const FACTS: &[&str] = &["15008", "istio.io/", "spiffe://"];

/// Where facts may be written: the crate of facts, and texts that people read.
pub(crate) const FACTS_WRITTEN_IN: &[&str] = &[
    "embedded-dataplane/facts/",
    "src/finding/catalogue",
    "src/probe/cause.rs",
];

/// The most lines that a file may have.
pub(crate) const LONGEST_FILE: usize = 450;

/// Files that may be longer, and why.
pub(crate) const LONGER_FILES: &[(&str, &str)] = &[];

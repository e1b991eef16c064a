use std::ffi::OsString;

use super::*;

fn resolve(line: &str, environment: &Environment) -> Result<Settings, ExpectedError> {
    let words = line.split_whitespace().map(OsString::from);
    let name = OsString::from("kubectl-ambient");
    let arguments = cli::parse(std::iter::once(name).chain(words));
    Settings::resolve(arguments.expect(line).command, environment)
}

fn migrate(line: &str) -> Result<Migrate, ExpectedError> {
    match resolve(line, &Environment::default())? {
        Settings::Migrate(settings) => Ok(*settings),
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn every_flag_reaches_the_planner_and_the_loader() {
    let settings = migrate(
        "migrate plan -f a -f b -R -n team --only x --only y --exclude z --waypoint w \
         --waypoint v=x --cni calico --authz allow --pod-cidr fd00::/64 --strategy companion --enroll",
    )
    .unwrap();
    insta::assert_debug_snapshot!((settings.request, settings.options), @r#"
    (
        Request {
            files: [
                "a",
                "b",
            ],
            companions: true,
            recursive: true,
            kustomize: None,
            kubectl: None,
            default_namespace: "team",
        },
        Options {
            namespaces: [
                "x",
                "y",
            ],
            exclude: [
                "z",
            ],
            waypoints: [
                WaypointRequest {
                    name: "w",
                    namespace: None,
                },
                WaypointRequest {
                    name: "v",
                    namespace: Some(
                        "x",
                    ),
                },
            ],
            pod_ranges: [
                fd00::/64,
            ],
            cni: Some(
                Calico,
            ),
            authz: Allow,
            strategy: Companion,
            enroll: true,
        },
    )
    "#);
}

#[test]
fn without_flags_nothing_is_written_and_errors_fail() {
    let settings = migrate("migrate -f a").unwrap();
    insta::assert_debug_snapshot!(settings, @r#"
    Migrate {
        request: Request {
            files: [
                "a",
            ],
            companions: true,
            recursive: false,
            kustomize: None,
            kubectl: None,
            default_namespace: "default",
        },
        options: Options {
            namespaces: [],
            exclude: [],
            waypoints: [],
            pod_ranges: [],
            cni: None,
            authz: Deny,
            strategy: Edit,
            enroll: false,
        },
        acceptance: Acceptance {
            all: false,
            names: {},
        },
        fail_on: Error,
        target: None,
        dry_run: false,
        keep_going: false,
        diff: false,
        format: Table,
        step_summary: None,
    }
    "#);
}

#[test]
fn files_are_written_where_the_flags_say() {
    let target = |line: &str| match migrate(line) {
        Ok(settings) => format!("{:?}, dry run: {}", settings.target, settings.dry_run),
        Err(error) => error.message(),
    };
    let lines = [
        "migrate -f a",
        "migrate -f a --write",
        "migrate -f a --output-dir out",
        "migrate -f a --write --output-dir out",
        "migrate -f - --output-dir out",
        "migrate -f - --write",
        "migrate -f a -f - --write",
        "migrate -k a --write",
        "migrate -f a --write --dry-run=client",
        "migrate -f a --write --dry-run=none",
        "migrate -f a --write --dry-run=server",
    ];
    let targets = lines.map(|line| format!("{line}\n  {}", target(line)));
    insta::assert_snapshot!(targets.join("\n"), @r#"
    migrate -f a
      None, dry run: false
    migrate -f a --write
      Some(InPlace), dry run: false
    migrate -f a --output-dir out
      Some(Directory("out")), dry run: false
    migrate -f a --write --output-dir out
      Some(Directory("out")), dry run: false
    migrate -f - --output-dir out
      Some(Directory("out")), dry run: false
    migrate -f - --write
      standard input cannot be rewritten in place
    migrate -f a -f - --write
      standard input cannot be rewritten in place
    migrate -k a --write
      Some(InPlace), dry run: false
    migrate -f a --write --dry-run=client
      Some(InPlace), dry run: true
    migrate -f a --write --dry-run=none
      Some(InPlace), dry run: false
    migrate -f a --write --dry-run=server
      `--dry-run=server` needs a cluster, and files are written without one
    "#);
}

#[test]
fn the_verb_may_be_left_out() {
    let flags = "-f a --write --accept all --fail-on info -o json --diff --keep-going";
    let short = migrate(&format!("migrate {flags}")).unwrap();
    let long = migrate(&format!("migrate plan {flags}")).unwrap();
    assert_eq!(format!("{short:?}"), format!("{long:?}"));
}

#[test]
fn the_step_summary_is_written_for_github_alone() {
    let environment = Environment {
        step_summary: Some("summary.md".into()),
        ..Environment::default()
    };
    for (format, expected) in [("github", Some("summary.md")), ("markdown", None)] {
        let settings = resolve(&format!("migrate -f a -o {format}"), &environment).unwrap();
        let Settings::Migrate(settings) = settings else {
            panic!("{settings:?}");
        };
        assert_eq!(
            settings.step_summary.as_deref(),
            expected.map(AsRef::as_ref)
        );
    }
}

#[test]
fn failures_are_shown_in_the_format_that_was_asked_for() {
    let shown = |line: &str| {
        let words = line.split_whitespace().map(OsString::from);
        let name = OsString::from("kubectl-ambient");
        let arguments = cli::parse(std::iter::once(name).chain(words)).expect(line);
        format!("{line} -> {:?}", format(&arguments.command))
    };
    let lines = [
        "migrate",
        "migrate -o yaml",
        "migrate plan -o sarif",
        "migrate diff",
        "policy list -o json",
        "policy explain a b -o json",
        "policy diff a b",
        "version -o json",
        "explain",
    ];
    insta::assert_snapshot!(lines.map(shown).join("\n"), @"
    migrate -> Table
    migrate -o yaml -> Yaml
    migrate plan -o sarif -> Sarif
    migrate diff -> Table
    policy list -o json -> Json
    policy explain a b -o json -> Json
    policy diff a b -> Table
    version -o json -> Json
    explain -> Table
    ");
}

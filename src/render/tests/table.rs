use super::*;

#[test]
fn a_plan_as_tables() {
    insta::assert_snapshot!(show(Format::Table), @"
    Plan   2 namespaces, 11 workloads   1 object to edit, 1 to create
    Read   nothing that is analysed

    NAMESPACE     WORKLOADS   POLICIES          WAYPOINT        VERDICT
    assets        3           <none>            <none>          blocked by 1 problem of the input
    kube-system   0           <none>            <none>          left out: it belongs to the cluster
    shop          8 of 9      1 edited, 1 new   shop/waypoint   blocked by AMB0110

    STAYS OUT               BECAUSE
    shop/agent[DaemonSet]   it uses the host's network

    Proof   gained: no connection is lost, some are gained, as far as the input can be used
            equal 1234, lost 0, gained 1, unknown 0 (12 pod classes, 3 address ranges)
    VERDICT   SOURCE                 DESTINATION            THROUGH   CONNECTIONS
    gained    shop/web[Deployment]   shop/db[StatefulSet]   tunnel    TCP 1-5431
              `shop/web` shares its service account

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                  WHERE              WHY
    edit     shop/networkpolicy/db   k8s/shop.yaml:12   rule 1 lets in TCP 5432, which becomes a tunnel

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                              WHERE
    create   shop/authorizationpolicy/db-ports   beside k8s/shop.yaml
             keeps tunnelled connections to TCP 5432

    Step 3   enrol
      kubectl label namespace shop istio.io/dataplane-mode=ambient

    NOT EDITED                    WHERE                BECAUSE
    shop/networkpolicy/aliases    k8s/aliases.yaml:4   the ports are an alias
                                  a companion in k8s/ambient-policies.yaml
    shop/networkpolicy/template   chart/web.yaml:9     the line is a template
                                  to be changed by hand

    overlay: add the patch to `kustomization.yaml`
      patches:
      - path: ambient.yaml

    error AMB0110   connections gained through the tunnel
      The tunnel would carry connections that the network policies refuse today. A network plugin cannot
      see the port inside the tunnel, so a peer that may reach port 15008 may reach every TCP port,
      unless an AuthorizationPolicy at the destination limits it. Nothing fails when this happens, so
      only this comparison shows it.
      fix: give `shop/web` a service account of its own
      AMB0110-d393c037   shop/networkpolicy/db   k8s/shop.yaml:12
        `shop/db` would take connections that `db` refuses today
          shop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431
            for example TCP 81, by shop/networkpolicy/db

    INFO      OBJECT                  WHAT
    AMB0102   shop/networkpolicy/db   tunnel port closed
    `kubectl ambient explain CODE` says more, `-o json` lists all objects

    ACCEPTED           SEVERITY   OBJECT
    AMB0110-48af4163   error      shop/networkpolicy/cache
                       `shop/cache` would take connections that `cache` refuses today

    diff --git a/k8s/shop.yaml b/k8s/shop.yaml
    --- a/k8s/shop.yaml
    +++ b/k8s/shop.yaml
    @@ -1 +1,2 @@
     a: 1
    +b: 2
    diff --git a/k8s/ambient-policies.yaml b/k8s/ambient-policies.yaml
    new file mode 100644
    --- /dev/null
    +++ b/k8s/ambient-policies.yaml
    @@ -0,0 +1 @@
    +c: 3

    Nothing was written: 1 finding is not accepted
    ");
}

#[test]
fn a_plan_with_nothing_to_do() {
    insta::assert_snapshot!(empty(Outcome::Planned), @"
    Plan   0 namespaces, 0 workloads   0 objects to edit, 0 to create
    Read   nothing that is analysed

    Proof   nothing to compare: the input holds no workload and no policy that is analysed

    Nothing was written.
    ");
}

#[test]
fn colour_adds_nothing_but_colour() {
    let (plan, prepared) = (plan(), prepared());
    let sample = sample(&plan, &prepared);
    let style = Style {
        color: true,
        terminal: false,
        ..Style::default()
    };
    let mut colored = report(&sample, Format::Table, style);
    let mut colors = 0;
    while let Some(start) = colored.find('\u{1b}') {
        let length = colored[start..].find('m').unwrap();
        colored.replace_range(start..=start + length, "");
        colors += 1;
    }
    assert_eq!(colored, report(&sample, Format::Table, Style::default()));
    assert!(colors > 20, "{colors}");
}

#[test]
fn the_last_lines_say_what_was_done() {
    let outcomes = [
        Outcome::Planned,
        Outcome::DryRun,
        Outcome::Written(Vec::new()),
        Outcome::Written(vec!["k8s/shop.yaml".to_owned(), "k8s/new.yaml".to_owned()]),
        Outcome::Refused("1 finding is not accepted".to_owned()),
    ];
    let ends = outcomes.map(|outcome| {
        let text = empty(outcome);
        text.rsplit("\n\n").next().unwrap_or_default().to_owned()
    });
    insta::assert_snapshot!(ends.concat(), @"
    Nothing was written.
    Nothing was written (dry run); 0 files would be.
    Nothing was to be written.
    Wrote 2 files:
      k8s/shop.yaml
      k8s/new.yaml
    Nothing was written: 1 finding is not accepted
    ");
}

#[test]
fn findings_with_one_remedy_name_it_once() {
    let mut other = gained("cache", "TCP 80");
    other.fixes = vec!["open the port".to_owned()];
    let plan = Plan {
        findings: vec![gained("db", "TCP 81"), gained("web", "TCP 82"), other],
        ..Plan::default()
    };
    let prepared = Prepared::default();
    let report = Report::new(&plan, &prepared, |_, _| false);
    let text = super::report(&report, Format::Table, Style::default());
    let findings: Vec<&str> = text.split("\n\n").filter(|s| s.contains("fix:")).collect();
    insta::assert_snapshot!(findings.join("\n\n"), @"
    error AMB0110   connections gained through the tunnel   3 findings
      The tunnel would carry connections that the network policies refuse today. A network plugin cannot
      see the port inside the tunnel, so a peer that may reach port 15008 may reach every TCP port,
      unless an AuthorizationPolicy at the destination limits it. Nothing fails when this happens, so
      only this comparison shows it.
      AMB0110-df088505   shop/networkpolicy/db   k8s/shop.yaml:12
        `shop/db` would take connections that `db` refuses today
          shop/web[Deployment] => shop/db[StatefulSet] : TCP 81
            for example TCP 81, by shop/networkpolicy/db
      AMB0110-15739123   shop/networkpolicy/web   k8s/shop.yaml:12
        `shop/web` would take connections that `web` refuses today
          shop/web[Deployment] => shop/web[StatefulSet] : TCP 82
            for example TCP 81, by shop/networkpolicy/web
        fix: give `shop/web` a service account of its own
      AMB0110-d2e9cdfb   shop/networkpolicy/cache   k8s/shop.yaml:12
        `shop/cache` would take connections that `cache` refuses today
          shop/web[Deployment] => shop/cache[StatefulSet] : TCP 80
            for example TCP 81, by shop/networkpolicy/cache
        fix: open the port
    ");
}

#[test]
fn long_lists_are_counted() {
    let mut plan = plan();
    plan.findings.truncate(1);
    let flow = plan.findings[0].flows[0].clone();
    plan.findings[0].flows = vec![flow; 12];
    let finding = plan.findings[0].clone();
    plan.findings = vec![finding; 30];
    let difference = plan.proof.differences[0].clone();
    plan.proof.differences = vec![difference; 30];
    plan.proof.unlisted = [(Verdict::Unknown, 400)].into();
    for step in &mut plan.steps {
        if let [change] = step.changes.as_slice() {
            step.changes = vec![change.clone(); 25];
        }
    }
    plan.namespaces[2].staying_out = vec![("shop/agent".to_owned(), "why".to_owned()); 12];
    let mut prepared = prepared();
    prepared.refusals = vec![prepared.refusals[0].clone(); 14];
    let text = report(
        &Report::new(&plan, &prepared, |finding, _| {
            finding.subject.name == "cache"
        }),
        Format::Table,
        Style::default(),
    );
    let mut counts: Vec<&str> = text.lines().filter(|l| l.contains("… and")).collect();
    counts.dedup();
    insta::assert_snapshot!(counts.join("\n"), @"
    … and 2 more workloads; `-o json` lists all
    … and 20 more comparisons; `-o json` lists all
    … and 400 unknown, too many to list
    … and 15 more objects; `-o json` lists all
    … and 4 more objects; `-o json` lists all
          … and 9 more flows; `-o json` lists all
      … and 20 more findings; `-o json` lists all
    ");
}

/// A connection may be governed by hundreds of policies, and thousands of connections may be.
#[test]
fn many_policies_of_one_connection_are_counted() {
    let mut plan = plan();
    plan.findings.truncate(1);
    let many: std::sync::Arc<[ObjectRef]> = (0..30).map(|n| policy(&format!("p{n:02}"))).collect();
    plan.findings[0].flows[0].policies = std::sync::Arc::clone(&many);
    plan.proof.differences[0].policies = many;
    let shown = |format| {
        let prepared = prepared();
        let report_of = Report::new(&plan, &prepared, |_, _| false);
        report(&report_of, format, Style::default())
    };
    let table = shown(Format::Table);
    let example = table
        .lines()
        .skip_while(|line| !line.contains("for example"));
    let named: Vec<&str> = example.take(2).map(str::trim).collect();
    insta::assert_snapshot!(named.join("\n"), @"
    for example TCP 81, by shop/networkpolicy/p00, shop/networkpolicy/p01,
    shop/networkpolicy/p02, shop/networkpolicy/p03, shop/networkpolicy/p04 and 25 more
    ");
    let json: serde_json::Value = serde_json::from_str(&shown(Format::Json)).unwrap();
    let flow = &json["findings"][0]["flows"][0];
    for object in [flow, &json["proof"]["differences"][0]] {
        assert_eq!(object["policies"].as_array().unwrap().len(), 20);
        assert_eq!(object["otherPolicies"], 10);
    }
}

#[test]
fn findings_of_one_code_are_explained_once() {
    let warning = |name: &str| {
        let subject = ObjectRef::namespaced("shop", "Deployment", name);
        let message = format!("`{subject}` has probes on port 8080");
        Finding::new(
            &codes::PROBES_CNI_UNKNOWN,
            subject,
            origin("k8s/shop.yaml", 7),
            message,
        )
    };
    let plan = Plan {
        findings: ["a", "b", "c", "d", "e", "f", "g"].map(warning).to_vec(),
        ..Plan::default()
    };
    let prepared = Prepared::default();
    let report = Report::new(&plan, &prepared, |_, _| false);
    let text = super::report(&report, Format::Table, Style::default());
    let findings: Vec<&str> = text.split("\n\n").filter(|s| s.contains("fix:")).collect();
    insta::assert_snapshot!(findings.join("\n\n"), @"
    warning AMB0803   kubelet probes may be blocked   7 findings
      The node agent gives probes of the kubelet a source address of their own. Some network plugins
      refuse it to pods that a policy isolates for ingress, others do not, and what that of the cluster
      does is not known here. If it refuses, the pods fail their probes right after enrolment.
      fix: Say which network plugin the cluster has with `--cni`.
      AMB0803-afed5faf   shop/deployment/a   k8s/shop.yaml:7
        has probes on port 8080
      AMB0803-780b4ef5   shop/deployment/b   k8s/shop.yaml:7
        has probes on port 8080
      AMB0803-9544025a   shop/deployment/c   k8s/shop.yaml:7
        has probes on port 8080
      AMB0803-5cc39e4a   shop/deployment/d   k8s/shop.yaml:7
        has probes on port 8080
      AMB0803-b7926306   shop/deployment/e   k8s/shop.yaml:7
        has probes on port 8080
      … and 2 more findings; `-o json` lists all
    ");
}

#[test]
fn lines_are_as_wide_as_the_style_says() {
    let (plan, prepared) = (plan(), prepared());
    let sample = sample(&plan, &prepared);
    for width in [80, 100, 120] {
        let style = Style {
            width,
            ..Style::default()
        };
        let text = report(&sample, Format::Table, style);
        let wide: Vec<&str> = text.lines().filter(|l| l.chars().count() > width).collect();
        assert!(wide.is_empty(), "{width}: {wide:#?}");
    }
}

#[test]
fn nothing_to_compare_is_not_equality() {
    let (plan, prepared) = (Plan::default(), Prepared::default());
    let inventory = Inventory {
        others: [
            ("Secret".to_owned(), 2),
            ("Widget.example.com".to_owned(), 1),
        ]
        .into(),
        not_evaluated: [("CiliumNetworkPolicy.cilium.io".to_owned(), 1)].into(),
        templates: 3,
        ..Inventory::default()
    };
    let shown = Report {
        inventory,
        ..Report::new(&plan, &prepared, |_, _| false)
    };
    insta::assert_snapshot!(report(&shown, Format::Table, Style::default()), @"
    Plan   0 namespaces, 0 workloads   0 objects to edit, 0 to create
    Read   nothing that is analysed
           not evaluated: 1 CiliumNetworkPolicy.cilium.io
           not analysed: 2 Secrets, 1 Widget.example.com
           not read: 3 Helm templates

    Proof   nothing to compare: the input holds no workload and no policy that is analysed

    Nothing was written.
    ");
    for format in FORMATS {
        let text = report(&shown, format, Style::default());
        let claims = ["equal: no", "**equal**", "verdict: equal", "\"equal\","];
        let claim = claims.iter().find(|claim| text.contains(**claim));
        assert_eq!(claim, None, "{text}");
    }
    let json = report(&shown, Format::Json, Style::default());
    assert_eq!(
        json.matches("\"verdict\": \"notCompared\"").count(),
        2,
        "{json}"
    );
    insta::assert_snapshot!(report(&shown, Format::Github, Style::default()), @"::warning title=kubectl ambient::nothing to compare: the input holds no workload and no policy that is analysed (equal 0, lost 0, gained 0, unknown 0)");
}

#[test]
fn what_all_changes_of_a_step_have_in_common_is_said_once() {
    let create = |name: &str, file: &str| Change {
        object: ObjectRef::namespaced("shop", "AuthorizationPolicy", name),
        reason: format!("keep to the ports of `shop/networkpolicy/{name}`"),
        action: ChangeAction::Create {
            body: json!({}).into(),
            beside: origin(file, 3),
        },
    };
    let show = |changes: Vec<Change>| {
        let plan = Plan {
            steps: vec![Step {
                kind: StepKind::RestorePorts,
                changes,
                commands: Vec::new(),
            }],
            ..Plan::default()
        };
        let prepared = Prepared::default();
        let shown = Report::new(&plan, &prepared, |_, _| false);
        let text = report(&shown, Format::Table, Style::default());
        let step = text.split("\n\n").find(|s| s.starts_with("Step 1"));
        step.unwrap_or_default().to_owned()
    };
    let (one, other) = (create("a", "k8s/a.yaml"), create("b", "k8s/b.yaml"));
    let elsewhere = create("c", "base/c.yaml");
    let different = Change {
        reason: "it has another reason".to_owned(),
        ..other.clone()
    };
    let steps = [
        vec![one.clone()],
        vec![one.clone(), other.clone()],
        vec![one.clone(), elsewhere],
        vec![one.clone(), one, different],
    ];
    insta::assert_snapshot!(steps.map(show).join("\n\n"), @"
    Step 1   keep the port limits inside the tunnel
    ACTION   OBJECT                       WHERE
    create   shop/authorizationpolicy/a   beside k8s/a.yaml
             keep to the ports of `shop/networkpolicy/a`

    Step 1   keep the port limits inside the tunnel
      keep to the ports of `…`
      new objects in k8s
    ACTION   OBJECT
    create   shop/authorizationpolicy/a
    create   shop/authorizationpolicy/b

    Step 1   keep the port limits inside the tunnel
      keep to the ports of `…`
    ACTION   OBJECT                       WHERE
    create   shop/authorizationpolicy/a   beside k8s/a.yaml
    create   shop/authorizationpolicy/c   beside base/c.yaml

    Step 1   keep the port limits inside the tunnel
    ACTION   OBJECT                       WHERE
    create   shop/authorizationpolicy/a   beside k8s/a.yaml
             keep to the ports of `shop/networkpolicy/a`
    create   shop/authorizationpolicy/a   beside k8s/a.yaml
             keep to the ports of `shop/networkpolicy/a`
    create   shop/authorizationpolicy/b   beside k8s/b.yaml
             it has another reason
    ");
}

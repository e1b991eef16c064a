use super::*;

#[test]
fn a_plan_as_tables() {
    insta::assert_snapshot!(show(Format::Table), @"
    Plan   2 namespaces, 11 workloads   1 object to edit, 1 to create

    NAMESPACE     WORKLOADS   POLICIES          WAYPOINT        VERDICT
    assets        3           <none>            <none>          ready
    kube-system   0           <none>            <none>          left out: it belongs to the cluster
    shop          8 of 9      1 edited, 1 new   shop/waypoint   blocked by AMB0110

    STAYS OUT               BECAUSE
    shop/agent[DaemonSet]   it uses the host's network

    Step 1   open the tunnel port in network policies
    ACTION   OBJECT                  WHERE              WHY
    edit     shop/networkpolicy/db   k8s/shop.yaml:12   rule 1 lets in TCP 5432, which becomes a tunnel

    Step 2   keep the port limits inside the tunnel
    ACTION   OBJECT                              WHERE                  WHY
    create   shop/authorizationpolicy/db-ports   beside k8s/shop.yaml   keeps tunnelled connections to TCP 5432

    Step 3   enrol
      kubectl label namespace shop istio.io/dataplane-mode=ambient

    error AMB0110-d393c037   shop/networkpolicy/db   k8s/shop.yaml:12
      `shop/db` would take connections that `db` refuses today
        shop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431   for example TCP 81   by shop/networkpolicy/db
      fix: give `shop/web` a service account of its own

    INFO               OBJECT                  WHERE              MESSAGE
    AMB0102-cba4f938   shop/networkpolicy/db   k8s/shop.yaml:14   its ingress rules do not let the tunnel through

    ACCEPTED           SEVERITY   OBJECT                     MESSAGE
    AMB0110-48af4163   error      shop/networkpolicy/cache   `shop/cache` would take connections that `cache` refuses today

    NOT EDITED                    WHERE                BECAUSE                  INSTEAD
    shop/networkpolicy/aliases    k8s/aliases.yaml:4   the ports are an alias   a companion in k8s/ambient-policies.yaml
    shop/networkpolicy/template   chart/web.yaml:9     the line is a template   to be changed by hand

    overlay: add the patch to `kustomization.yaml`
      patches:
      - path: ambient.yaml

    Proof   gained: no connection is lost, some are gained, as far as the input can be used
            equal 1234, lost 0, gained 1, unknown 0   (12 pod classes, 3 address ranges)
    VERDICT   SOURCE                 DESTINATION            THROUGH   CONNECTIONS   BECAUSE
    gained    shop/web[Deployment]   shop/db[StatefulSet]   tunnel    TCP 1-5431    `shop/web` shares its service account

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

    Proof   equal: no connection is lost, none is gained
            equal 0, lost 0, gained 0, unknown 0   (0 pod classes, 0 address ranges)

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
    error AMB0110-df088505   shop/networkpolicy/db   k8s/shop.yaml:12
      `shop/db` would take connections that `db` refuses today
        shop/web[Deployment] => shop/db[StatefulSet] : TCP 81   for example TCP 81   by shop/networkpolicy/db
    error AMB0110-15739123   shop/networkpolicy/web   k8s/shop.yaml:12
      `shop/web` would take connections that `web` refuses today
        shop/web[Deployment] => shop/web[StatefulSet] : TCP 82   for example TCP 81   by shop/networkpolicy/web
      fix: give `shop/web` a service account of its own

    error AMB0110-d2e9cdfb   shop/networkpolicy/cache   k8s/shop.yaml:12
      `shop/cache` would take connections that `cache` refuses today
        shop/web[Deployment] => shop/cache[StatefulSet] : TCP 80   for example TCP 81   by shop/networkpolicy/cache
      fix: open the port
    ");
}

#[test]
fn long_lists_are_counted() {
    let mut plan = plan();
    plan.findings.truncate(1);
    let flow = plan.findings[0].flows[0].clone();
    plan.findings[0].flows = vec![flow; 12];
    let difference = plan.proof.differences[0].clone();
    plan.proof.differences = vec![difference; 30];
    plan.proof.unlisted.insert(Verdict::Unknown, 400);
    let prepared = Prepared::default();
    let text = report(
        &Report::new(&plan, &prepared, |_, _| false),
        Format::Table,
        Style::default(),
    );
    let counts: Vec<&str> = text.lines().filter(|l| l.contains('…')).collect();
    insta::assert_snapshot!(counts.join("\n"), @"
        … and 2 more flows
    … and 10 more comparisons; `-o json` lists them
    … and 400 unknown, too many to list
    ");
}

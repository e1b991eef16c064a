use super::*;

#[test]
fn a_plan_as_markdown() {
    insta::assert_snapshot!(show(Format::Markdown), @"
    ### kubectl ambient migrate

    **gained**: no connection is lost, some are gained, as far as the input can be used (equal 1234, lost 0, gained 1, unknown 0).
    1 error, 0 warnings not accepted, 1 accepted; 2 objects changed.
    Read: nothing that is analysed.

    | Namespace | Workloads | Policies | Waypoint | Verdict |
    |---|---|---|---|---|
    | assets | 3 |  |  | blocked by 1 problem of the input |
    | kube-system | 0 |  |  | left out: it belongs to the cluster |
    | shop | 8 of 9 | 1 edited, 1 new | shop/waypoint | blocked by AMB0110 |

    | Bad input | Error |
    |---|---|
    | `k8s/broken.yaml:3:7` | mapping values are not allowed here |

    | Finding | Severity | Object | What |
    |---|---|---|---|
    | `AMB0110-d393c037` | **error** | `shop/networkpolicy/db`<br>`k8s/shop.yaml:12` | `shop/db` would take connections that `db` refuses today<br>`shop/web[Deployment] => shop/db[StatefulSet] : TCP 1-5431`, for example `TCP 81`<br>fix: give `shop/web` a service account of its own |
    | `AMB0110-48af4163` | error, accepted | `shop/networkpolicy/cache`<br>`k8s/shop.yaml:12` | `shop/cache` would take connections that `cache` refuses today<br>`shop/web[Deployment] => shop/cache[StatefulSet] : All Connections`, for example `TCP 81` |
    | `AMB0102-cba4f938` | info | `shop/networkpolicy/db`<br>`k8s/shop.yaml:14` | its ingress rules do not let the tunnel through<br>fix: Apply the plan's change of this policy, in files with `--write`, before the namespace is enrolled. |

    | Step | Action | Object | Where | Why |
    |---|---|---|---|---|
    | 1. open the tunnel port in network policies | edit | `shop/networkpolicy/db` | `k8s/shop.yaml:12` | rule 1 lets in TCP 5432, which becomes a tunnel |
    | 2. keep the port limits inside the tunnel | create | `shop/authorizationpolicy/db-ports` | `beside k8s/shop.yaml` | keeps tunnelled connections to TCP 5432 |

    | Not edited | Where | Because | Instead |
    |---|---|---|---|
    | `shop/networkpolicy/aliases` | `k8s/aliases.yaml:4` | the ports are an alias | a companion in k8s/ambient-policies.yaml |
    | `shop/networkpolicy/template` | `chart/web.yaml:9` | the line is a template | to be changed by hand |

    `overlay`: add the patch to `kustomization.yaml`

    ```yaml
    patches:
    - path: ambient.yaml
    ```

    Then run:

    ```sh
    kubectl label namespace shop istio.io/dataplane-mode=ambient
    ```

    **Nothing was written**: 1 finding is not accepted.

    <details><summary>Diff of 2 files</summary>

    ```diff
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
    ```

    </details>
    ");
}

#[test]
fn markdown_stays_within_the_limit_of_a_comment() {
    let plan = Plan {
        findings: (0..400)
            .map(|i| gained(&format!("db-{i}"), "TCP 1-5431"))
            .collect(),
        ..plan()
    };
    let mut prepared = prepared();
    let long = "- `port`: 15008\n".repeat(10_000);
    prepared.changes = vec![file("k8s/long.yaml", None, &long)];
    let text = markdown(&sample(&plan, &prepared));
    assert!(text.len() <= 60_000, "{}", text.len());
    assert!(text.len() > 59_000, "{}", text.len());
    let counts: Vec<&str> = text.lines().filter(|l| l.starts_with('…')).collect();
    insta::assert_snapshot!(counts.join("\n"), @"
    … and 296 findings more; `-o json` lists all
    … and 8046 more lines: run `kubectl ambient migrate diff`
    ");
}

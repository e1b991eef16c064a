use super::*;

#[test]
fn a_plan_as_json() {
    insta::assert_snapshot!("json", show(Format::Json));
}

#[test]
fn yaml_is_the_same_document_as_json() {
    let json: serde_json::Value = serde_json::from_str(&show(Format::Json)).unwrap();
    let yaml: serde_json::Value = serde_yaml::from_str(&show(Format::Yaml)).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn a_failure_is_a_whole_document_in_every_format() {
    let failure = Failure {
        message: "no manifests are given".to_owned(),
        hint: Some("pass `-f FILE`".to_owned()),
        exit_code: 2,
    };
    let texts = FORMATS.map(|format| {
        let text = failed_report(&failure, "MigrationPlan", format);
        format!("[{format:?}]\n{text}")
    });
    insta::assert_snapshot!(texts.concat(), @r#"
    [Table]
    [Json]
    {
      "apiVersion": "ambient.dev/v1alpha1",
      "kind": "MigrationPlan",
      "metadata": {
        "toolVersion": "0.1.0"
      },
      "error": {
        "message": "no manifests are given",
        "hint": "pass `-f FILE`",
        "exitCode": 2
      }
    }
    [Yaml]
    apiVersion: ambient.dev/v1alpha1
    kind: MigrationPlan
    metadata:
      toolVersion: "0.1.0"
    error:
      message: no manifests are given
      hint: pass `-f FILE`
      exitCode: 2
    [Markdown]
    ### kubectl ambient migrate

    **error**: no manifests are given

    hint: pass `-f FILE`
    [Sarif]
    {
      "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
      "version": "2.1.0",
      "runs": [
        {
          "tool": {
            "driver": {
              "name": "kubectl-ambient",
              "version": "0.1.0",
              "informationUri": "https://github.com/kubectl-ambient/kubectl-ambient",
              "rules": []
            }
          },
          "invocations": [
            {
              "executionSuccessful": false,
              "toolExecutionNotifications": [
                {
                  "level": "error",
                  "message": {
                    "text": "no manifests are given; hint: pass `-f FILE`"
                  }
                }
              ]
            }
          ],
          "results": []
        }
      ]
    }
    [Github]
    ::error title=kubectl ambient::no manifests are given%0Ahint: pass `-f FILE`
    "#);
}

#[test]
fn what_was_done_is_in_the_document() {
    let (plan, prepared) = (Plan::default(), Prepared::default());
    let outcomes = [
        Outcome::Planned,
        Outcome::DryRun,
        Outcome::Written(vec!["k8s/shop.yaml".to_owned()]),
        Outcome::Refused("1 finding is not accepted".to_owned()),
    ];
    let shown = outcomes.map(|outcome| {
        let report = Report {
            outcome,
            ..Report::new(&plan, &prepared, |_, _| false)
        };
        let text = super::report(&report, Format::Json, Style::default());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        document["outcome"].to_string()
    });
    insta::assert_snapshot!(shown.join("\n"), @r#"
    {"result":"planned"}
    {"result":"dryRun"}
    {"result":"written","files":["k8s/shop.yaml"]}
    {"result":"refused","reason":"1 finding is not accepted"}
    "#);
}

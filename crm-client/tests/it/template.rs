//! The generic connector, feature by feature.

use crm_client::{
    Connector, Crm, Error, Kind, Outcome, Reach, SuccessRule, Target, TargetOptions,
    TemplateOptions, Token,
};
use serde_json::{Value, json};
use wiremock::matchers::{body_string, header, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::wire::{punch, punch_of_kind, status};

fn template(change: impl FnOnce(&mut TemplateOptions)) -> TemplateOptions {
    let mut template = TemplateOptions::new(Kind::Punch);
    change(&mut template);
    template
}

fn options(url: &str, template: TemplateOptions) -> TargetOptions {
    let mut options = TargetOptions::new(url, Connector::Template(template.into()));
    options.token = Some(Token::new("s3cret"));
    options
}

fn target(url: &str, change: impl FnOnce(&mut TemplateOptions)) -> Target {
    Target::new(options(url, template(change))).unwrap()
}

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

async fn outcome_of(
    answer: ResponseTemplate,
    change: impl FnOnce(&mut TemplateOptions),
) -> Result<Outcome, Error> {
    let server = answering(answer).await;
    let outcomes = target(&server.uri(), change)
        .push(&[punch("17", 1)])
        .await?;
    Ok(outcomes.into_iter().next().unwrap())
}

fn flaw(url: &str, change: impl FnOnce(&mut TemplateOptions)) -> (String, usize) {
    match Target::new(options(url, template(change))) {
        Err(Error::BadTemplate { part, line, .. }) => (part, line),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn address_method_headers_and_body_are_rendered() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path("/people/17%2Fa%20b"))
        .and(query_param("way", "in"))
        .and(header("x-api-key", "s3cret"))
        .and(header("x-kind", "IN"))
        .and(body_string(
            r#"{"name": "Zoë \"李伟\"", "code": 0, "none": null}"#,
        ))
        .respond_with(status(200))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!(
        "{}/people/{{{{ user_id }}}}?way={{{{ kind }}}}",
        server.uri()
    );
    let target = target(&url, |template| {
        template.method = "{% if prior_remote_id or true %}put{% endif %}".into();
        template.headers = vec![
            ("X-Api-Key".into(), "{{ token }}".into()),
            ("X-Kind".into(), "{{ kind | upper }}".into()),
        ];
        template.body = r#"{"name": {{ employee_name }}, "code": {{ punch_state }}, "none": {{ prior_remote_id }}}"#.into();
    });
    let entry = crm_client::PunchEntry {
        user_id: "17/a b".into(),
        employee_name: Some("Zoë \"李伟\"".into()),
        kind: "in".into(),
        punch_state: Some(0),
        ..Default::default()
    };
    let outcomes = target.push(&[entry.freeze("t", 1)]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Accepted { remote_id: None }]);
    let requests = server.received_requests().await.unwrap();
    assert!(
        !requests[0].headers.contains_key("authorization"),
        "the token has its place"
    );
}

#[tokio::test]
async fn a_token_that_no_template_places_goes_where_it_always_goes() {
    let server = answering(status(200)).await;
    target(&server.uri(), |_| ())
        .push(&[punch("17", 1)])
        .await
        .unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].headers["authorization"], "Token s3cret");
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!(
        body,
        punch("17", 1).to_wire(),
        "by default the entry as it is"
    );
}

#[tokio::test]
async fn forms_are_encoded_and_xml_is_escaped() {
    for (kind, body, sent) in [
        (
            "application/x-www-form-urlencoded",
            "who={{ user_id }}&at={{ time }}",
            "who=a%26b%3C&at=2026-03-02%2008%3A01%3A10",
        ),
        (
            "text/xml",
            "<p who=\"{{ user_id }}\"/>",
            "<p who=\"a&amp;b&lt;\"/>",
        ),
        ("text/plain", "{{ user_id }}", "a&b<"),
    ] {
        let server = answering(status(200)).await;
        let target = target(&server.uri(), |template| {
            template.content_type = kind.into();
            template.body = body.into();
        });
        target.push(&[punch("a&b<", 1)]).await.unwrap();
        let request = &server.received_requests().await.unwrap()[0];
        assert_eq!(String::from_utf8_lossy(&request.body), sent);
        assert_eq!(request.headers["content-type"], kind);
    }
}

#[tokio::test]
async fn a_body_that_renders_to_nothing_is_not_sent() {
    let server = MockServer::start().await;
    Mock::given(method("DELETE"))
        .respond_with(status(204))
        .expect(1)
        .mount(&server)
        .await;
    let url = format!("{}/{{{{ prior_remote_id }}}}", server.uri());
    let target = target(&url, |template| {
        template.method = "{{ 'DELETE' if deleted else 'POST' }}".into();
        template.body = "{% if not deleted %}{{ entry }}{% endif %}".into();
    });
    let entry = crate::wire::deleted_punch("17").with_prior_remote_id(Some("r1".into()));
    target.push(&[entry]).await.unwrap();
    let request = &server.received_requests().await.unwrap()[0];
    assert_eq!(request.url.path(), "/r1");
    assert!(request.body.is_empty());
    assert!(!request.headers.contains_key("content-type"));
}

#[tokio::test]
async fn success_is_what_the_rule_says() {
    let only_201 = |template: &mut TemplateOptions| template.success.statuses = vec![201..=201];
    assert!(
        outcome_of(status(201), only_201)
            .await
            .unwrap()
            .is_delivered()
    );
    let refused = outcome_of(
        status(200).set_body_json(json!({"message": "queued"})),
        only_201,
    )
    .await;
    let reason = "the target answered 200: queued".to_owned();
    assert_eq!(refused, Ok(Outcome::Rejected { reason }));
    assert!(matches!(
        outcome_of(status(503), only_201).await,
        Ok(Outcome::Retry { .. })
    ));
    assert!(matches!(
        outcome_of(status(401), only_201).await,
        Err(Error::Unauthorised { .. })
    ));
    let a_409 =
        |template: &mut TemplateOptions| template.success.statuses = vec![200..=299, 409..=409];
    assert_eq!(
        outcome_of(status(409), a_409).await,
        Ok(Outcome::Accepted { remote_id: None })
    );
}

#[tokio::test]
async fn a_target_that_refuses_with_200_is_understood_by_a_field() {
    let rule = |template: &mut TemplateOptions| {
        template.success = SuccessRule {
            field: Some(("/ret/code".into(), json!(0))),
            ..SuccessRule::default()
        };
        template.reason = Some("/ret/msg".into());
    };
    let answer = |code: Value| {
        status(200).set_body_json(json!({"ret": {"code": code, "msg": "no such badge"}}))
    };
    for yes in [json!(0), json!("0")] {
        assert!(outcome_of(answer(yes), rule).await.unwrap().is_delivered());
    }
    let reason = "the target answered 200: no such badge".to_owned();
    for no in [json!(7), json!(null), json!(false)] {
        assert_eq!(
            outcome_of(answer(no), rule).await,
            Ok(Outcome::Rejected {
                reason: reason.clone()
            })
        );
    }
}

/// Somebody answers for the target: no entry is lost over it.
#[tokio::test]
async fn what_a_field_rule_cannot_read_is_no_refusal() {
    let rule = |template: &mut TemplateOptions| {
        template.success.field = Some(("/status".into(), json!("ok")));
    };
    let with_batches = |template: &mut TemplateOptions| {
        rule(template);
        template.batch_body = Some("{{ records }}".into());
    };
    let page = status(200).set_body_raw("<!doctype html><p>Maintenance", "text/html");
    let long = json!({"padding": "x".repeat(2 << 20), "status": "ok"});
    for (answer, page) in [
        (page, true),
        (status(200).set_body_string("back soon"), false),
        (status(204), false),
        (status(200).set_body_json(long), false),
    ] {
        let server = answering(answer).await;
        let entries = [punch("17", 1), punch("18", 1)];
        for (target, entries) in [
            (target(&server.uri(), rule), &entries[..1]),
            (target(&server.uri(), with_batches), &entries[..]),
        ] {
            let outcomes = target.push(entries).await;
            if page {
                assert_eq!(outcomes, Err(Error::WebPage { status: 200 }));
            } else {
                let outcomes = outcomes.unwrap();
                assert!(
                    outcomes.iter().all(|outcome| matches!(
                        outcome,
                        Outcome::Retry {
                            reach: Reach::Answered,
                            ..
                        }
                    )),
                    "{outcomes:?}"
                );
            }
        }
    }
}

/// What an entry's own address says is of that entry; what the address of all says is of the target.
#[tokio::test]
async fn an_entry_that_is_gone_holds_nobody_up() {
    let server = MockServer::start().await;
    for (user, answer) in [
        (
            "1",
            status(404).set_body_json(json!({"detail": "Not found."})),
        ),
        ("2", status(410)),
        (
            "3",
            status(403).set_body_json(json!({"detail": "not yours"})),
        ),
        ("4", status(200)),
    ] {
        Mock::given(path(format!("/{user}")))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    let own = target(&format!("{}/{{{{ user_id }}}}", server.uri()), |template| {
        template.method = "{{ 'DELETE' if deleted else 'PUT' }}".into();
    });
    let gone: Vec<_> = ["1", "2"].map(crate::wire::deleted_punch).into();
    assert_eq!(
        own.push(&gone).await.unwrap(),
        [Outcome::AlreadyKnown, Outcome::AlreadyKnown]
    );
    let entries = ["1", "2", "3", "4"].map(|user| punch(user, 2));
    let outcomes = own.push(&entries).await.unwrap();
    let reason = |words: &str| format!("the target answered {words}");
    assert_eq!(
        outcomes[..2],
        [
            Outcome::Rejected {
                reason: reason("404: Not found.")
            },
            Outcome::Rejected {
                reason: reason("410")
            },
        ]
    );
    let not_yet = Outcome::Retry {
        after: None,
        reach: Reach::Answered,
        reason: reason("403: not yours"),
    };
    assert_eq!(outcomes[2], not_yet);
    assert!(outcomes[3].is_delivered());
    let of_all = target(
        &format!("{}/1?key={{{{ token }}}}", server.uri()),
        |template| {
            template.method = "PUT".into();
        },
    );
    assert_eq!(
        of_all.push(&entries[..1]).await,
        Err(Error::NotHere { status: 404 })
    );
}

#[tokio::test]
async fn the_remote_id_is_taken_from_its_place() {
    let at = |template: &mut TemplateOptions| template.remote_id = Some("/items/0/ref".into());
    for (body, id) in [
        (json!({"items": [{"ref": "r9"}], "id": 1}), Some("r9")),
        (json!({"items": [{"ref": 9}]}), Some("9")),
        (json!({"items": []}), None),
        (json!({"items": [{"ref": ["r9"]}]}), None),
    ] {
        let outcome = outcome_of(status(200).set_body_json(body), at).await;
        assert_eq!(
            outcome,
            Ok(Outcome::Accepted {
                remote_id: id.map(str::to_owned)
            })
        );
    }
    let usual = outcome_of(status(200).set_body_json(json!({"id": 5})), |_| ()).await;
    assert_eq!(
        usual,
        Ok(Outcome::Accepted {
            remote_id: Some("5".into())
        })
    );
}

#[tokio::test]
async fn a_web_page_is_no_success_unless_a_field_says_so() {
    let page = || status(200).set_body_raw("<!DOCTYPE html>", "text/html");
    assert_eq!(
        outcome_of(page(), |_| ()).await,
        Err(Error::WebPage { status: 200 })
    );
}

#[tokio::test]
async fn batches_have_a_template_and_are_split_like_all_others() {
    let server = MockServer::start().await;
    let picky = |request: &Request| {
        let body: Value = request.body_json().unwrap();
        let rows = body["rows"].as_array().unwrap();
        status(if rows.iter().any(|row| row["who"] == "2") {
            422
        } else {
            200
        })
    };
    Mock::given(path("/many"))
        .respond_with(picky)
        .mount(&server)
        .await;
    let single = |request: &Request| {
        let body: Value = request.body_json().unwrap();
        status(if body["who"] == "2" { 422 } else { 200 })
    };
    Mock::given(path("/one"))
        .respond_with(single)
        .mount(&server)
        .await;
    let target = target(&format!("{}/one", server.uri()), |template| {
        template.body = r#"{"who": {{ user_id }}}"#.into();
        template.batch_body = Some(
            r#"{"rows": [{% for record in records %}{"who": {{ record.user_id }}}{% if not loop.last %},{% endif %}{% endfor %}]}"#
                .into(),
        );
        template.batch_url = Some(format!("{}/many", server.uri()));
    });
    let entries: Vec<_> = (0..5).map(|user| punch(&user.to_string(), 1)).collect();
    let outcomes = target.push(&entries).await.unwrap();
    let delivered: Vec<_> = outcomes.iter().map(Outcome::is_delivered).collect();
    assert_eq!(delivered, [true, true, false, true, true]);
}

#[test]
fn a_bad_template_is_an_error_of_the_configuration_with_its_line() {
    let url = "https://hr.example.com/";
    let body =
        |text: &'static str| move |template: &mut TemplateOptions| template.body = text.into();
    assert_eq!(
        flaw(url, body("{\n\"a\": {{ user_id }\n}")),
        ("body".into(), 2)
    );
    assert_eq!(
        flaw(url, body("{\"a\": 1,\n\n\"b\": {{ user_idd }}}")),
        ("body".into(), 3)
    );
    assert_eq!(flaw(url, body("{\n{% if %}")), ("body".into(), 2));
    assert_eq!(
        flaw(url, body("{{ user_id | nofilter }}")),
        ("body".into(), 1)
    );
    // Quotes around what has its own: no JSON, in the second line of what it makes.
    assert_eq!(
        flaw(url, body("{\n\"a\": \"{{ user_id }}\"}")),
        ("body".into(), 2)
    );
    assert_eq!(
        flaw(url, |template| template.method = "{{ kind }} x".into()),
        ("method".into(), 1)
    );
    assert_eq!(
        flaw("https://hr.example.com/{{ nothing }}", |_| ()),
        ("url".into(), 1)
    );
    let header = |template: &mut TemplateOptions| {
        template.headers = vec![("X-A".into(), "\n\n{{ nothing }}".into())];
    };
    assert_eq!(flaw(url, header), ("headers.x-a".into(), 3));
    let batch = |template: &mut TemplateOptions| template.batch_body = Some("{{ user_id }}".into());
    assert_eq!(flaw(url, batch), ("batch_body".into(), 1));
    let error = Target::new(options(url, template(body("{{ user_idd }}")))).unwrap_err();
    assert_eq!(error.kind(), "crm_bad_template");
    assert!(
        error
            .to_string()
            .starts_with(r#"the template "body" cannot be used (line 1): undefined"#),
        "{error}"
    );
}

#[test]
fn other_options_are_checked_too() {
    let kind = |url: &str, change: fn(&mut TemplateOptions)| {
        Target::new(options(url, template(change)))
            .unwrap_err()
            .kind()
    };
    let url = "https://hr.example.com/";
    assert_eq!(
        kind(url, |template| template.remote_id = Some("id".into())),
        "crm_bad_option"
    );
    assert_eq!(
        kind(url, |template| template.headers =
            vec![("a b".into(), String::new())]),
        "crm_bad_option"
    );
    assert_eq!(
        kind("http://hr.example.com/", |_| ()),
        "crm_insecure_address"
    );
    assert_eq!(kind("{{ kind }}", |_| ()), "crm_bad_address");
    let mut without = options(
        url,
        template(|template| template.body = "[{{ token }}]".into()),
    );
    without.token = None;
    assert_eq!(Target::new(without).unwrap_err().kind(), "crm_bad_option");
}

#[tokio::test]
async fn an_entry_cannot_lead_the_token_elsewhere() {
    let server = answering(status(200)).await;
    let url = server.uri().replace(
        "127.0.0.1",
        "{{ '127.0.0.1' if kind == 'in' else '127.0.0.2' }}",
    );
    let target = target(&url, |_| ());
    let outcomes = target
        .push(&[punch_of_kind("17", "out"), punch("18", 1)])
        .await
        .unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Rejected { reason } if reason.contains("another host")),
        "{outcomes:?}"
    );
    assert!(outcomes[1].is_delivered());
}

#[tokio::test]
async fn what_does_not_fit_one_entry_refuses_that_entry_alone() {
    let server = answering(status(200)).await;
    let target = target(&server.uri(), |template| {
        template.headers = vec![("X-Name".into(), "{{ employee_name | upper }}".into())];
        template.body = r#"{"x": {{ device_serial | length }}}"#.into();
    });
    let nameless = crm_client::PunchEntry {
        user_id: "17".into(),
        ..Default::default()
    };
    let outcomes = target
        .push(&[nameless.freeze("t", 1), punch("18", 1)])
        .await
        .unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Rejected { reason } if reason.contains("does not fit this entry")),
        "{outcomes:?}"
    );
    assert!(outcomes[1].is_delivered());
}

/// `DELETE /punches/` would be asked of all of them.
#[tokio::test]
async fn null_has_no_place_in_an_address() {
    let server = answering(status(200)).await;
    let target = target(
        &format!("{}/{{{{ prior_remote_id }}}}", server.uri()),
        |_| (),
    );
    let outcomes = target.push(&[punch("17", 1)]).await.unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Rejected { reason } if reason.contains("null has no place")),
        "{outcomes:?}"
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[test]
fn a_preview_hides_the_token_and_whatever_headers_hold() {
    let target = target(
        "https://hr.example.com/?key={{ token }}&sig=l1teral&site=2",
        |template| {
            template.headers = vec![
                ("X-Key".into(), "k {{ token }}".into()),
                ("X-Other-Key".into(), "l1teral".into()),
                ("Accept".into(), "text/plain".into()),
            ];
            template.body = r#"{"key": {{ token }}}"#.into();
        },
    );
    let request = target.preview(&[punch("17", 1)]).remove(0).unwrap();
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("l1teral"),
        "{shown}"
    );
    assert_eq!(request.body, r#"{"key": "[hidden]"}"#);
    assert!(request.url.ends_with("&site=2"), "{shown}");
    for (name, value) in [
        ("x-key", "[hidden]"),
        ("x-other-key", "[hidden]"),
        ("accept", "text/plain"),
        ("content-type", "application/json"),
    ] {
        assert!(
            request.headers.contains(&(name.into(), value.into())),
            "{shown}"
        );
    }
}

//! One claim per answer that a target can give.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crm_client::{Crm, Error, Interruption, Outcome, Reach, Target};
use serde_json::{Value, json};
use tokio::sync::Notify;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::raw;
use crate::wire::{TOKEN, client, entries, entry, hasty_client, options};

async fn answering(template: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(template)
        .mount(&server)
        .await;
    server
}

async fn outcome_of(template: ResponseTemplate) -> Result<Outcome, Error> {
    let server = answering(template).await;
    let outcomes = client(&format!("{}/api/attendance", server.uri()))
        .push(&[entry("17")])
        .await?;
    assert_eq!(
        server.received_requests().await.unwrap().len(),
        1,
        "one attempt per push"
    );
    assert_eq!(outcomes.len(), 1);
    Ok(outcomes.into_iter().next().unwrap())
}

fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

fn accepted(remote_id: Option<&str>) -> Outcome {
    Outcome::Accepted {
        remote_id: remote_id.map(str::to_owned),
    }
}

#[tokio::test]
async fn the_request_carries_record_key_and_token() {
    let server = MockServer::start().await;
    let entry = entry("17");
    Mock::given(method("POST"))
        .and(path("/api/attendance"))
        .and(header("authorization", format!("Token {TOKEN}")))
        .and(header("content-type", "application/json"))
        .and(header("idempotency-key", entry.key().as_str()))
        .respond_with(status(201))
        .expect(1)
        .mount(&server)
        .await;
    let outcomes = client(&format!("{}/api/attendance", server.uri()))
        .push(std::slice::from_ref(&entry))
        .await;
    assert_eq!(outcomes, Ok(vec![accepted(None)]));
    let body: Value = server.received_requests().await.unwrap()[0]
        .body_json()
        .unwrap();
    let mut expected = entry.content().clone();
    expected["idempotency_key"] = json!(entry.key().as_str());
    assert_eq!(body, expected);
    assert_eq!(body["schema"], 1);
    assert_eq!(body["revision"], 1);
}

#[tokio::test]
async fn status_200_is_success() {
    assert_eq!(
        outcome_of(status(200).set_body_json(json!({"id": 5}))).await,
        Ok(accepted(Some("5")))
    );
}

#[tokio::test]
async fn status_201_is_success() {
    assert_eq!(
        outcome_of(status(201).set_body_json(json!({"remote_id": "r"}))).await,
        Ok(accepted(Some("r")))
    );
}

/// B26: 202 and 204 were taken for failures and sent again.
#[tokio::test]
async fn b26_statuses_202_and_204_are_success() {
    assert_eq!(outcome_of(status(202)).await, Ok(accepted(None)));
    assert_eq!(outcome_of(status(204)).await, Ok(accepted(None)));
}

#[tokio::test]
async fn status_400_is_a_refusal_in_the_targets_words() {
    let Ok(Outcome::Rejected { reason }) =
        outcome_of(status(400).set_body_json(json!({"detail": "bad date"}))).await
    else {
        panic!("not refused");
    };
    assert_eq!(reason, "the target answered 400: bad date");
}

#[tokio::test]
async fn status_422_is_a_refusal() {
    assert!(matches!(
        outcome_of(status(422)).await,
        Ok(Outcome::Rejected { .. })
    ));
}

#[tokio::test]
async fn status_413_of_a_single_entry_is_a_refusal() {
    assert!(matches!(
        outcome_of(status(413)).await,
        Ok(Outcome::Rejected { .. })
    ));
}

#[tokio::test]
async fn status_401_pauses_the_target_and_never_shows_the_token() {
    let echo = json!({"detail": format!("Invalid token {TOKEN}.")});
    let error = outcome_of(status(401).set_body_json(echo))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "crm_unauthorised");
    assert!(!format!("{error} {error:?} {}", error.remedy()).contains(TOKEN));
    assert!(error.to_string().contains("Invalid token [hidden]"));
}

#[tokio::test]
async fn status_403_pauses_the_target() {
    assert!(matches!(
        outcome_of(status(403)).await,
        Err(Error::Unauthorised { status: 403, .. })
    ));
}

#[tokio::test]
async fn status_404_without_words_is_a_wrong_address() {
    assert_eq!(
        outcome_of(status(404)).await,
        Err(Error::NotHere { status: 404 })
    );
}

#[tokio::test]
async fn status_409_means_already_known() {
    assert_eq!(outcome_of(status(409)).await, Ok(Outcome::AlreadyKnown));
}

#[tokio::test]
async fn status_429_is_tried_again_when_the_target_says() {
    let busy = status(429).insert_header("retry-after", "7");
    let Ok(Outcome::Retry { after, reason, .. }) = outcome_of(busy).await else {
        panic!("not retried")
    };
    assert_eq!(after, Some(Duration::from_secs(7)));
    assert_eq!(reason, "the target answered 429");
}

#[tokio::test]
async fn a_date_in_retry_after_is_read_against_the_targets_clock() {
    let busy = status(503)
        .insert_header("date", "Mon, 02 Mar 2026 08:00:00 GMT")
        .insert_header("retry-after", "Mon, 02 Mar 2026 08:01:00 GMT");
    let Ok(Outcome::Retry { after, .. }) = outcome_of(busy).await else {
        panic!("not retried")
    };
    assert_eq!(after, Some(Duration::from_mins(1)));
}

#[tokio::test]
async fn statuses_5xx_are_tried_again_and_sent_once_per_push() {
    for code in [500, 502, 503, 504] {
        assert!(matches!(
            outcome_of(status(code)).await,
            Ok(Outcome::Retry { after: None, .. })
        ));
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let server =
        answering(status(301).insert_header("location", "https://elsewhere.example/?t=1")).await;
    let error = client(&server.uri())
        .push(&[entry("17")])
        .await
        .unwrap_err();
    let location = Some("https://elsewhere.example/".to_owned());
    assert_eq!(
        error,
        Error::Moved {
            status: 301,
            location
        }
    );
}

#[tokio::test]
async fn a_web_page_with_200_is_no_success() {
    let page = status(200).set_body_raw("<!doctype html><title>Log in</title>", "text/html");
    let error = outcome_of(page).await.unwrap_err();
    assert_eq!(error, Error::WebPage { status: 200 });
    assert!(
        error
            .remedy()
            .contains("This is a web page, not an API: check the address")
    );
}

#[tokio::test]
async fn garbage_with_200_is_a_success_without_an_id() {
    let garbage = status(200).set_body_raw(vec![0xff, 0x00, b'{', b'"'], "application/json");
    assert_eq!(outcome_of(garbage).await, Ok(accepted(None)));
}

#[tokio::test]
async fn garbage_in_a_refusal_is_shown_as_one_short_line() {
    let garbage = status(400).set_body_raw(b"\x1b[31m\xff\r\nred".repeat(1000), "text/plain");
    let Ok(Outcome::Rejected { reason }) = outcome_of(garbage).await else {
        panic!("not refused")
    };
    assert!(reason.chars().count() < 350);
    assert!(!reason.contains(char::is_control));
}

#[tokio::test]
async fn a_huge_answer_is_read_no_further_than_the_cap() {
    let huge = status(200).set_body_raw(vec![b'x'; 32 << 20], "application/json");
    assert_eq!(outcome_of(huge).await, Ok(accepted(None)));
}

#[tokio::test]
async fn an_endless_answer_is_left() {
    let url = raw::server("HTTP/1.1 422 X\r\n\r\n", &[b'x'; 4096], false).await;
    let outcomes = client(&url).push(&[entry("17")]).await.unwrap();
    assert!(matches!(&outcomes[0], Outcome::Rejected { reason } if reason.len() < 400));
}

#[tokio::test]
async fn silence_is_tried_again_after_the_time_out() {
    let url = raw::server("", b"", false).await;
    let outcomes = hasty_client(&url).push(&[entry("17")]).await.unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Retry {
            after: None,
            reach: Reach::Unanswered,
            reason: "no answer within 0.2 s".into()
        }]
    );
}

#[tokio::test]
async fn an_answer_that_stalls_is_tried_again_after_the_time_out() {
    let url = raw::server("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", b"", false).await;
    let outcomes = hasty_client(&url).push(&[entry("17")]).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Retry { .. }));
}

#[tokio::test]
async fn a_success_cut_off_half_way_is_tried_again() {
    let url = raw::server("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{", b"", true).await;
    let outcomes = client(&url).push(&[entry("17")]).await.unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Retry { reason, .. } if reason.contains("lost")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_tried_again() {
    let url = raw::server("", b"", true).await;
    let outcomes = client(&url).push(&[entry("17")]).await.unwrap();
    assert!(
        matches!(&outcomes[0], Outcome::Retry { reason, .. } if reason.contains("lost")),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn what_is_no_http_is_tried_again() {
    let url = raw::server("SSH-2.0-OpenSSH_9.2\r\n", b"", true).await;
    let outcomes = client(&url).push(&[entry("17")]).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Retry { .. }));
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_stops_the_push() {
    let outcomes = client(&raw::nobody().await)
        .push(&entries(3))
        .await
        .unwrap();
    assert_eq!(outcomes.len(), 3);
    assert!(
        matches!(&outcomes[0], Outcome::Retry { reason, .. } if reason == "no connection: nothing listens there"),
        "{outcomes:?}"
    );
    assert!(
        matches!(&outcomes[2], Outcome::Retry { reason, .. } if reason.starts_with("not sent"))
    );
}

#[tokio::test]
async fn a_failed_handshake_needs_a_human() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(
                &mut stream,
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
            )
            .await;
        }
    });
    let error = client(&format!("https://127.0.0.1:{port}/"))
        .push(&[entry("17")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), "crm_tls", "{error}");
}

/// B25: one record that could not be sent stopped the batch.
#[tokio::test]
async fn b25_one_bad_record_never_affects_another() {
    let server = MockServer::start().await;
    let entries = entries(3);
    Mock::given(header("idempotency-key", entries[1].key().as_str()))
        .respond_with(status(422))
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(status(201))
        .mount(&server)
        .await;
    let outcomes = client(&server.uri()).push(&entries).await.unwrap();
    assert_eq!(
        outcomes
            .iter()
            .map(Outcome::is_delivered)
            .collect::<Vec<_>>(),
        [true, false, true]
    );
}

#[tokio::test]
async fn a_retry_is_the_same_request_byte_for_byte() {
    let server = answering(status(500)).await;
    let crm = client(&server.uri());
    crm.push(&[entry("17")]).await.unwrap();
    crm.push(&[entry("17")]).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests[0].body, requests[1].body);
    assert_eq!(
        requests[0].headers["idempotency-key"],
        requests[1].headers["idempotency-key"]
    );
}

#[tokio::test]
async fn nothing_to_push_asks_nobody() {
    assert_eq!(client(&raw::nobody().await).push(&[]).await, Ok(vec![]));
}

#[tokio::test]
async fn a_check_takes_2xx_and_405_for_reachable() {
    for code in [200, 201, 405] {
        let server = MockServer::start().await;
        Mock::given(method("GET"))
            .respond_with(status(code))
            .expect(1)
            .mount(&server)
            .await;
        assert_eq!(
            client(&server.uri())
                .check()
                .await
                .map(|reached| reached.status),
            Ok(code)
        );
    }
}

#[tokio::test]
async fn a_check_tells_a_wrong_token_from_an_absent_server() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(status(401))
        .mount(&server)
        .await;
    assert_eq!(
        client(&server.uri()).check().await.unwrap_err().kind(),
        "crm_unauthorised"
    );
    let absent = client(&raw::nobody().await).check().await.unwrap_err();
    assert_eq!(absent.kind(), "crm_unreachable");
    assert!(absent.is_retryable());
}

/// A server that rings at the request with this number, and answers that one and later ones only after a minute.
async fn slow_from(number: usize) -> (MockServer, Arc<Notify>) {
    let (server, bell) = (MockServer::start().await, Arc::new(Notify::new()));
    let (asked, ring) = (AtomicUsize::new(0), Arc::clone(&bell));
    let respond = move |_: &Request| {
        let turn = asked.fetch_add(1, Ordering::Relaxed) + 1;
        if turn < number {
            return status(201);
        }
        ring.notify_one();
        status(201).set_delay(Duration::from_mins(1))
    };
    Mock::given(method("POST"))
        .respond_with(respond)
        .mount(&server)
        .await;
    (server, bell)
}

#[tokio::test]
async fn a_push_that_is_stopped_sends_nothing_more_and_keeps_what_was_answered() {
    let (server, bell) = slow_from(3).await;
    let interruption = Interruption {
        stop: async {},
        leave: std::future::pending(),
    };
    let none = client(&server.uri())
        .push_until(&entries(2), interruption)
        .await
        .unwrap();
    let not_sent = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::Retry {
                reach: Reach::NotSent,
                ..
            }
        )
    };
    assert!(none.iter().all(not_sent), "{none:?}");
    assert!(server.received_requests().await.unwrap().is_empty());

    let interruption = Interruption {
        stop: std::future::pending(),
        leave: bell.notified(),
    };
    let mut options = options(&server.uri());
    options.concurrency = NonZeroUsize::MIN;
    let outcomes = Target::new(options)
        .unwrap()
        .push_until(&entries(20), interruption)
        .await
        .unwrap();
    assert!(outcomes[0].is_delivered() && outcomes[1].is_delivered());
    assert!(matches!(
        outcomes[2],
        Outcome::Retry {
            reach: Reach::Unanswered,
            ..
        }
    ));
    assert!(not_sent(&outcomes[19]), "{outcomes:?}");
}

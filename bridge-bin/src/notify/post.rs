//! Alarms as a signed webhook.

use std::time::{Duration, UNIX_EPOCH};

use crm_client::{SIGNATURE_HEADER, Token, sign_webhook};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::app::App;
use crate::cause;
use crate::jobs::poll::utc;
use crate::store::entity::alarm;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts alarms that opened or ended, in one request.
pub(super) async fn send(app: &App, alarms: &[alarm::Model]) -> anyhow::Result<()> {
    let config = &app.config.alarms;
    config.check_secret()?;
    let told: Vec<Value> = alarms.iter().map(value).collect();
    let body = json!({"schema": 1, "alarms": told}).to_string();
    let now = UNIX_EPOCH + Duration::from_secs(u64::try_from(app.clock.now()).unwrap_or(0));
    let secret = Token::new(config.webhook_secret.expose_secret());
    let signature = sign_webhook(&secret, body.as_bytes(), now);
    let mut client = reqwest::Client::builder()
        // What is meant for one address goes to no other.
        .redirect(Policy::none())
        .timeout(TIMEOUT);
    let url: reqwest::Url = config.webhook_url.parse()?;
    if url.host_str().is_some_and(crm_client::is_loopback) {
        // What may go in clear, because it stays on this machine, must not leave it by the environment's proxy.
        client = client.no_proxy();
    }
    let client = client.build()?;
    let answer = client
        .post(&config.webhook_url)
        .header("content-type", "application/json")
        .header(SIGNATURE_HEADER, signature)
        .body(body)
        .send()
        .await
        // Not told with the address, which may hold a token.
        .map_err(|error| {
            if error.is_timeout() {
                anyhow::anyhow!("there was no answer within {} s", TIMEOUT.as_secs())
            } else {
                anyhow::anyhow!("it cannot be reached: {}", cause::beneath(&error))
            }
        })?;
    anyhow::ensure!(
        answer.status().is_success(),
        "the server answered with HTTP {}",
        answer.status().as_u16()
    );
    Ok(())
}

fn value(row: &alarm::Model) -> Value {
    json!({
        "kind": row.kind,
        "subject": row.subject,
        "detail": row.detail,
        "state": if row.closed_at.is_some() { "over" } else { "open" },
        "opened_at": utc(row.opened_at),
        "closed_at": row.closed_at.map(utc),
    })
}

//! The pages over real sockets: who may see what, and that what they show is true.

use std::collections::BTreeMap;
use std::time::Duration;

use bridge_bin::http;
use bridge_bin::lifecycle::Shutdown;
use bridge_bin::secret;
use bridge_bin::store::entity::{
    account, daily_record, device, employee, outbox, target, web_session,
};
use reqwest::header::{HOST, HeaderMap, LOCATION, ORIGIN, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, redirect};
use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::support::{Bridge, NAIROBI};

const PASSWORD: &str = "correct horse battery";
const DAY: &str = "2026-03-06";

/// A site whose pages answer on a port of their own.
struct Pages {
    bridge: Bridge,
    url: String,
    shutdown: Shutdown,
    server: JoinHandle<anyhow::Result<()>>,
}

impl Pages {
    /// With the administrator `ada`.
    async fn new() -> Self {
        Self::of(NAIROBI).await
    }

    /// The same with another configuration.
    async fn of(toml: &str) -> Self {
        let pages = Self::without_accounts_of(toml).await;
        let hash = http::auth::hash_password(PASSWORD).unwrap();
        let store = &pages.bridge.app.store;
        store.add_account("ada", "admin", hash, 0).await.unwrap();
        pages
    }

    async fn without_accounts() -> Self {
        Self::without_accounts_of(NAIROBI).await
    }

    async fn without_accounts_of(toml: &str) -> Self {
        let bridge = Bridge::new(toml, "2026-03-06T09:00:00Z").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (shutdown, stop) = Shutdown::new();
        let server = tokio::spawn(http::serve(bridge.app.clone(), listener, stop));
        Self {
            bridge,
            url,
            shutdown,
            server,
        }
    }

    async fn get(&self, browser: &Client, path: &str) -> Response {
        browser
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    /// Posts as our own pages do.
    async fn post(&self, browser: &Client, path: &str, form: &[(&str, &str)]) -> Response {
        let request = browser
            .post(format!("{}{path}", self.url))
            .header(ORIGIN, &self.url);
        request.form(form).send().await.unwrap()
    }

    async fn log_in(&self, browser: &Client, name: &str, password: &str) -> Response {
        self.post(browser, "/login", &[("name", name), ("password", password)])
            .await
    }

    /// A browser in which `ada` is logged in.
    async fn ada(&self) -> Client {
        let browser = browser();
        let answer = self.log_in(&browser, "ada", PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        browser
    }

    async fn page(&self, browser: &Client, path: &str) -> String {
        let answer = self.get(browser, path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    async fn login_link(&self) -> String {
        let app = &self.bridge.app;
        let ada = app.store.account("ada").await.unwrap().unwrap();
        http::auth::login_link(app, &ada).await.unwrap()
    }

    /// Stores people with one record each on [`DAY`].
    async fn store(&self, people: &[Person]) {
        let tx = self.bridge.app.store.begin().await.unwrap();
        for person in people {
            let row = employee::Model {
                id: person.id.to_owned(),
                name: Some(person.name.to_owned()),
                department: None,
                designation: None,
                office: None,
                active_from: None,
                active_to: None,
                mapped: true,
            };
            employee::Entity::insert(row.into_active_model())
                .exec_without_returning(&tx)
                .await
                .unwrap();
            let row = daily_record::Model {
                record_id: person.record_id(),
                employee: person.id.to_owned(),
                date: DAY.to_owned(),
                shift: Some("default".to_owned()),
                slot: "0".to_owned(),
                ordinal: 0,
                status: person.status.to_owned(),
                is_final: true,
                settles_at: None,
                device: None,
                content: person.content().to_string(),
                updated_at: 0,
            };
            daily_record::Entity::insert(row.into_active_model())
                .exec_without_returning(&tx)
                .await
                .unwrap();
            let Some((state, problem)) = person.delivery else {
                continue;
            };
            let row = outbox::ActiveModel {
                id: NotSet,
                target: Set("crm".to_owned()),
                entry_id: Set(person.record_id()),
                revision: Set(2),
                employee: Set(person.id.to_owned()),
                date: Set(DAY.to_owned()),
                deleted: Set(false),
                content: Set("{}".to_owned()),
                key: Set(person.record_id()),
                state: Set(state.to_owned()),
                attempts: Set(1),
                due_at: Set(0),
                last_attempt: Set(None),
                last_error: Set(problem.map(str::to_owned)),
                queued_at: Set(0),
                settled_at: Set(None),
            };
            row.insert(&tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

struct Person {
    id: &'static str,
    name: &'static str,
    status: &'static str,
    late_s: i64,
    outliers: &'static [&'static str],
    delivery: Option<(&'static str, Option<&'static str>)>,
}

impl Person {
    const fn new(id: &'static str, name: &'static str, status: &'static str) -> Self {
        Self {
            id,
            name,
            status,
            late_s: 0,
            outliers: &[],
            delivery: None,
        }
    }

    fn record_id(&self) -> String {
        format!("{}/{DAY}/default/0", self.id)
    }

    fn content(&self) -> Value {
        json!({
            "employee": self.id, "date": DAY, "shift": "default", "ordinal": 0, "day_type": "workday",
            "status": self.status, "final": true, "planned_start": "2026-03-06T08:00:00+03:00",
            "planned_end": "2026-03-06T17:00:00+03:00", "clock_in": "2026-03-06T08:20:30+03:00",
            "clock_out": "2026-03-07T01:05:00+03:00", "worked_s": 32_100, "overtime_s": 0,
            "late_s": self.late_s, "early_leave_s": 0, "missing": [], "outliers": self.outliers, "flags": [],
        })
    }
}

/// Keeps cookies and shows redirections as they are.
fn browser() -> Client {
    Client::builder()
        .cookie_store(true)
        .redirect(redirect::Policy::none())
        .build()
        .unwrap()
}

fn location(answer: &Response) -> &str {
    answer
        .headers()
        .get(LOCATION)
        .map_or("", |value| value.to_str().unwrap())
}

/// The rows of the day's table.
fn rows(page: &str) -> Vec<&str> {
    let table = page
        .split_once("<table class=\"day\">")
        .unwrap()
        .1
        .split_once("</table>")
        .unwrap()
        .0;
    let body = table
        .split_once("<tbody>")
        .unwrap()
        .1
        .split_once("</tbody>")
        .unwrap()
        .0;
    body.split("<tr>")
        .filter(|row| row.contains("scope=\"row\""))
        .collect()
}

/// Where each tile leads, with its number.
fn tiles(page: &str) -> BTreeMap<String, usize> {
    let tiles = page
        .split_once("<ul class=\"tiles\">")
        .unwrap()
        .1
        .split_once("</ul>")
        .unwrap()
        .0;
    let tile = |text: &str| {
        let (href, rest) = text.split_once('"').unwrap();
        let number = rest
            .split_once("<strong>")
            .unwrap()
            .1
            .split_once('<')
            .unwrap()
            .0;
        (href.replace("&#38;", "&"), number.parse().unwrap())
    };
    tiles.split("<a href=\"").skip(1).map(tile).collect()
}

#[tokio::test]
async fn everything_but_the_open_paths_needs_a_login() {
    let pages = Pages::new().await;
    let stranger = browser();
    for (path, next) in [
        ("/", "/login"),
        (
            "/?date=2026-03-03&show=late",
            "/login?next=/%3Fdate%3D2026-03-03%26show%3Dlate",
        ),
        ("/?date=nonsense", "/login?next=/%3Fdate%3Dnonsense"),
        ("/devices", "/login?next=/devices"),
        ("/logout", "/login?next=/logout"),
        ("/static", "/login?next=/static"),
        ("/apiary", "/login?next=/apiary"),
        ("/%2e%2e/secret.key", "/login?next=/secret.key"),
    ] {
        let answer = pages.get(&stranger, path).await;
        assert_eq!(
            (answer.status(), location(&answer)),
            (StatusCode::SEE_OTHER, next),
            "{path}"
        );
        assert_eq!(answer.text().await.unwrap(), "", "{path}");
    }
    for path in ["/logout", "/", "/devices"] {
        assert_eq!(
            pages.post(&stranger, path, &[]).await.status(),
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    for path in [
        "/healthz",
        "/readyz",
        "/login",
        "/static/pico.min.css",
        "/static/app.css",
        "/static/icon.svg",
    ] {
        assert_eq!(
            pages.get(&stranger, path).await.status(),
            StatusCode::OK,
            "{path}"
        );
    }
    for path in [
        "/static/none.css",
        "/static/../Cargo.toml",
        "/static/%2e%2e/app.css",
        "/static/..%2fapp.css",
    ] {
        assert_ne!(
            pages.get(&stranger, path).await.status(),
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test]
async fn programs_get_json() {
    let pages = Pages::new().await;
    let stranger = pages.get(&browser(), "/api/attendance/").await;
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    let found: Value = stranger.json().await.unwrap();
    assert_eq!(
        found,
        json!({"status": "error", "message": "Log in first.", "data": null})
    );
    let missing = pages.get(&pages.ada().await, "/api/nothing").await;
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
    assert_eq!(missing.json::<Value>().await.unwrap()["status"], "error");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_name_get_the_same_answer() {
    let pages = Pages::new().await;
    let mut answers = Vec::new();
    for name in ["ada", "bob"] {
        let answer = pages.log_in(&browser(), name, "wrong wrong wrong").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(!answer.headers().contains_key(SET_COOKIE));
        answers.push(
            answer
                .text()
                .await
                .unwrap()
                .replace(&format!("\"{name}\""), "NAME"),
        );
    }
    assert_eq!(answers[0], answers[1]);
    assert!(answers[0].contains("do not fit together"), "{}", answers[0]);
}

#[tokio::test]
async fn a_login_opens_the_pages_until_the_logout() {
    let pages = Pages::new().await;
    let browser = browser();
    let answer = pages
        .post(
            &browser,
            "/login",
            &[
                ("name", " ada "),
                ("password", PASSWORD),
                ("next", "/?show=late"),
            ],
        )
        .await;
    assert_eq!(
        (answer.status(), location(&answer)),
        (StatusCode::SEE_OTHER, "/?show=late")
    );
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    assert!(
        pages
            .page(&browser, "/")
            .await
            .contains("Friday, 6 March 2026")
    );

    // What the database holds does not open a session.
    let stored = web_session::Entity::find()
        .all(pages.bridge.app.store.reader())
        .await
        .unwrap();
    let id = cookie.split_once('=').unwrap().1.split_once(';').unwrap().0;
    assert_eq!(stored.len(), 1);
    assert!(!format!("{stored:?}").contains(id));

    let answer = pages.post(&browser, "/logout", &[]).await;
    assert_eq!(
        (answer.status(), location(&answer)),
        (StatusCode::SEE_OTHER, "/login")
    );
    assert_eq!(location(&pages.get(&browser, "/").await), "/login");
    let stored = web_session::Entity::find()
        .all(pages.bridge.app.store.reader())
        .await
        .unwrap();
    assert_eq!(stored, []);
}

#[tokio::test]
async fn a_login_does_not_lead_away_from_this_site() {
    let pages = Pages::new().await;
    for next in [
        "//evil.example/",
        "https://evil.example/",
        "/\\evil.example",
    ] {
        let form = [("name", "ada"), ("password", PASSWORD), ("next", next)];
        assert_eq!(
            location(&pages.post(&browser(), "/login", &form).await),
            "/",
            "{next}"
        );
    }
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_the_old_one() {
    let pages = Pages::new().await;
    let browser = pages.ada().await;
    let store = &pages.bridge.app.store;
    let ada = store.account("ada").await.unwrap().unwrap();
    let tx = store.begin().await.unwrap();
    let change = account::ActiveModel {
        id: Set(ada.id),
        password_hash: Set(http::auth::hash_password("another password").unwrap()),
        ..Default::default()
    };
    change.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(location(&pages.get(&browser, "/").await), "/login");
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let pages = Pages::new().await;
    let browser = browser();
    for _ in 0..10 {
        assert_eq!(
            pages.log_in(&browser, "ada", "a guess").await.status(),
            StatusCode::UNAUTHORIZED
        );
    }
    let answer = pages.log_in(&browser, "ada", PASSWORD).await;
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers().contains_key(RETRY_AFTER));
    // Others are not locked out with her.
    assert_eq!(
        pages.log_in(&browser, "bob", "a guess").await.status(),
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_login_link_works_once() {
    let pages = Pages::new().await;
    let link = pages.login_link().await;
    let browser = browser();
    let answer = pages.get(&browser, &link).await;
    assert_eq!(
        (answer.status(), location(&answer)),
        (StatusCode::SEE_OTHER, "/")
    );
    pages.page(&browser, "/").await;

    let answer = pages.get(&self::browser(), &link).await;
    assert_eq!(answer.status(), StatusCode::GONE);
    assert!(!answer.headers().contains_key(SET_COOKIE));
}

#[tokio::test]
async fn a_login_link_ends_after_ten_minutes() {
    let pages = Pages::new().await;
    let app = &pages.bridge.app;
    let ada = app.store.account("ada").await.unwrap().unwrap();
    let now = app.clock.now();
    for (token, expires_at, status) in [
        ("past", now - 1, StatusCode::GONE),
        ("soon", now + 60, StatusCode::SEE_OTHER),
    ] {
        app.store
            .add_login_link(&secret::token_hash(token), ada.id, expires_at)
            .await
            .unwrap();
        let answer = pages.get(&browser(), &format!("/login/link/{token}")).await;
        assert_eq!(answer.status(), status, "{token}");
    }
}

#[tokio::test]
async fn a_login_link_works_on_this_machine_only() {
    let pages = Pages::new().await;
    let link = pages.login_link().await;
    let url = format!("{}{link}", pages.url);
    for (name, value) in [
        (HOST.as_str(), "hr.example.com"),
        ("x-forwarded-for", "192.0.2.7"),
    ] {
        let answer = browser()
            .get(&url)
            .header(name, value)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}");
    }
    // None of this used it up.
    assert_eq!(
        pages.get(&browser(), &link).await.status(),
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn nothing_changes_on_the_word_of_another_site() {
    let pages = Pages::new().await;
    let browser = pages.ada().await;
    let logout = format!("{}/logout", pages.url);
    for headers in [
        vec![],
        vec![("origin", "http://evil.example")],
        vec![("origin", "null")],
        vec![("sec-fetch-site", "cross-site")],
        vec![
            ("sec-fetch-site", "same-site"),
            ("origin", "http://sub.evil.example"),
        ],
    ] {
        let mut request = browser.post(&logout);
        for (name, value) in &headers {
            request = request.header(*name, *value);
        }
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::FORBIDDEN,
            "{headers:?}"
        );
    }
    pages.page(&browser, "/").await;
    let own = browser
        .post(&logout)
        .header("sec-fetch-site", "same-origin")
        .send()
        .await
        .unwrap();
    assert_eq!(own.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let pages = Pages::new().await;
    let browser = pages.ada().await;
    for path in ["/", "/login", "/static/app.css", "/healthz", "/nothing"] {
        let headers: HeaderMap = pages.get(&browser, path).await.headers().clone();
        let header = |name: &str| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
                .to_owned()
        };
        let policy = header("content-security-policy");
        assert!(
            policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{path}"
        );
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        let cached = if path.starts_with("/static/") {
            "no-cache"
        } else {
            "no-store"
        };
        assert_eq!(header("cache-control"), cached, "{path}");
    }
    let page = pages.page(&browser, "/").await;
    for inline in ["<script", "<style", " style=", " onclick=", "javascript:"] {
        assert!(!page.contains(inline), "{inline}");
    }
}

#[tokio::test]
async fn a_style_sheet_that_is_known_is_not_sent_again() {
    let pages = Pages::new().await;
    let browser = browser();
    let tag = pages.get(&browser, "/static/pico.min.css").await.headers()["etag"].clone();
    let url = format!("{}/static/pico.min.css", pages.url);
    let again = browser
        .get(url)
        .header("if-none-match", tag)
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn the_first_run_says_what_to_do_on_this_machine_only() {
    let pages = Pages::without_accounts().await;
    let browser = browser();
    assert_eq!(location(&pages.get(&browser, "/").await), "/login");
    assert!(
        pages
            .page(&browser, "/login")
            .await
            .contains("zk-bridge init --admin")
    );
    let request = browser
        .get(format!("{}/login", pages.url))
        .header(HOST, "hr.example.com");
    let page = request.send().await.unwrap().text().await.unwrap();
    assert!(
        !page.contains("zk-bridge init") && page.contains("name=\"password\""),
        "{page}"
    );
}

#[tokio::test]
async fn without_an_administrator_the_network_stays_shut() {
    let bridge = Bridge::new(NAIROBI, "2026-03-06T09:00:00Z").await;
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let (_running, stop) = Shutdown::new();
    let error = http::serve(bridge.app.clone(), listener, stop)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("no administrator"), "{error}");
}

#[tokio::test]
async fn stopping_does_not_wait_for_idle_browsers() {
    let pages = Pages::new().await;
    let browser = browser();
    pages.get(&browser, "/healthz").await.text().await.unwrap();
    pages.shutdown.stop();
    let stopped = tokio::time::timeout(Duration::from_secs(5), pages.server).await;
    stopped.expect("it stops").unwrap().unwrap();
}

#[tokio::test]
async fn a_record_is_shown_and_its_name_is_only_text() {
    let pages = Pages::new().await;
    let mut person = Person::new("7", "<script>alert(1)</script>", "present");
    person.late_s = 1_230;
    person.outliers = &["out_too_late"];
    person.delivery = Some(("rejected", Some("<b>no such user</b>")));
    pages.store(&[person]).await;

    let browser = pages.ada().await;
    let page = pages.page(&browser, "/").await;
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    let [row] = rows(&page)[..] else {
        panic!("{page}")
    };
    for shown in [
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        ">08:20<",
        ">01:05<",
        ">+1<",
        ">8:55<",
        ">Present<",
        "0:20",
        "08:00–17:00",
        "clock-out far too late",
        "refused",
        "no such user",
    ] {
        assert!(row.contains(shown), "{shown}: {row}");
    }
    assert!(rows(&pages.page(&browser, "/?date=2026-03-05").await).is_empty());
}

#[tokio::test]
async fn a_tile_counts_what_it_leads_to() {
    let pages = Pages::new().await;
    let mut people = vec![
        Person::new("1", "Ann", "present"),
        Person::new("2", "Ben", "present"),
        Person::new("3", "Cem", "absent"),
        Person::new("4", "Dee", "incomplete"),
        Person::new("5", "Eli", "in_progress"),
        Person::new("6", "Fay", "holiday"),
    ];
    people[0].delivery = Some(("sent", None));
    people[1].late_s = 60;
    people[1].delivery = Some(("pending", Some("HTTP 503")));
    people[3].outliers = &["in_too_early"];
    people[3].delivery = Some(("rejected", None));
    pages.store(&people).await;

    let browser = pages.ada().await;
    let tiles = tiles(&pages.page(&browser, "/").await);
    assert_eq!(tiles.len(), 8, "{tiles:?}");
    let mut counts = BTreeMap::new();
    for (path, count) in &tiles {
        let page = pages.page(&browser, path).await;
        assert_eq!(rows(&page).len(), *count, "{path}");
        assert_eq!(self::tiles(&page), tiles, "{path}");
        counts.insert(path.rsplit_once('=').unwrap().1, *count);
    }
    let expected = [
        (DAY, 6),
        ("absent", 1),
        ("expected", 6),
        ("incomplete", 1),
        ("late", 1),
        ("outliers", 1),
        ("present", 3),
        ("unsynced", 2),
    ];
    assert_eq!(counts, BTreeMap::from(expected));
}

#[tokio::test]
async fn data_is_complete_until_the_terminal_read_longest_ago() {
    let pages = Pages::new().await;
    let bridge = &pages.bridge;
    let browser = pages.ada().await;
    assert!(
        pages
            .page(&browser, "/")
            .await
            .contains("No terminal is enabled")
    );
    for name in ["front", "back", "off"] {
        bridge
            .add_address(name, "192.0.2.1:4370", "main", None)
            .await;
    }
    let read = async |name: &str, at: &str, enabled: bool| {
        let found = bridge.app.store.device(name).await.unwrap();
        let at = at.parse::<jiff::Timestamp>().unwrap().as_second();
        let change = device::ActiveModel {
            id: Set(found.id),
            complete_until: Set(Some(at)),
            enabled: Set(enabled),
            ..Default::default()
        };
        let tx = bridge.app.store.begin().await.unwrap();
        change.update(&tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    read("front", "2026-03-06T08:55:00Z", true).await;
    read("off", "2026-01-01T00:00:00Z", false).await;
    assert!(
        pages
            .page(&browser, "/")
            .await
            .contains("<bdi>back</bdi> has never been read")
    );
    read("back", "2026-03-06T08:40:00Z", true).await;
    let page = pages.page(&browser, "/").await;
    let until = page
        .split_once("Data complete until")
        .unwrap()
        .1
        .split_once("</p>")
        .unwrap()
        .0;
    assert!(until.contains("2026-03-06 11:40"), "{until}");
    assert!(until.contains("<bdi>back</bdi>"), "{until}");
}

/// The part of a page with the alarms.
fn alarms(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<section class=\"alarms\"")?;
    rest.split_once("</section>").map(|(alarms, _)| alarms)
}

#[tokio::test]
async fn i21_alarms_stand_on_top_with_what_to_do_next() {
    let pages = Pages::new().await;
    let bridge = &pages.bridge;
    let store = &bridge.app.store;
    let hash = http::auth::hash_password(PASSWORD).unwrap();
    store.add_account("vic", "viewer", hash, 0).await.unwrap();
    bridge
        .add_address("Gate", "192.0.2.1:4370", "main", None)
        .await;
    let set_drift = async |drift| {
        let gate = store.device("Gate").await.unwrap();
        let change = device::ActiveModel {
            id: Set(gate.id),
            complete_until: Set(Some(bridge.app.clock.now())),
            clock_drift_s: Set(Some(drift)),
            ..Default::default()
        };
        let tx = store.begin().await.unwrap();
        change.update(&tx).await.unwrap();
        tx.commit().await.unwrap();
    };
    let ada = pages.ada().await;
    set_drift(10).await;
    assert_eq!(alarms(&pages.page(&ada, "/").await), None);

    set_drift(-300).await;
    let page = pages.page(&ada, "/").await;
    let shown = alarms(&page).unwrap();
    for part in [
        ">1 alarm<",
        "Clock wrong",
        "The clock of Gate is 5 min slow.",
        "<code>zk-bridge device test --device Gate</code>",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(page.find("class=\"alarms\"") < page.find("<h1>"));
    assert!(!shown.contains("<details>"), "{shown}");
    for n in 0..6 {
        let name = format!("Gate {n}");
        bridge
            .add_address(&name, "192.0.2.1:4370", "main", None)
            .await;
    }
    // Added long ago and never read.
    let page = pages.page(&ada, "/").await;
    let shown = alarms(&page).unwrap();
    let (first, unfolding) = shown
        .split_once("<details><summary>2 more</summary>")
        .unwrap();
    let count = |part: &str| part.matches("<li>").count();
    assert_eq!((count(first), count(unfolding)), (5, 2));

    let vic = browser();
    pages.log_in(&vic, "vic", PASSWORD).await;
    let page = pages.page(&vic, "/").await;
    let shown = alarms(&page).unwrap();
    assert!(shown.contains("5 min slow") && shown.contains("tell an administrator"));
    assert!(!shown.contains("<code>"), "{shown}");
}

/// The rows of the table below a heading, each as its words.
fn words_below(page: &str, heading: &str) -> Vec<String> {
    let (_, rest) = page.split_once(&format!("<h2 id=\"{heading}\">")).unwrap();
    let (_, rest) = rest.split_once("<tbody>").unwrap();
    let (body, _) = rest.split_once("</tbody>").unwrap();
    let words = |row: &str| {
        let texts = row
            .split('<')
            .filter_map(|piece| piece.split_once('>').map(|(_, text)| text.trim()));
        texts
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
    };
    body.split("<tr>").skip(1).map(words).collect()
}

#[tokio::test]
async fn each_target_has_a_line_of_its_own_without_secrets() {
    let toml = format!(
        "{NAIROBI}[crm]\nurl = \"http://127.0.0.1:9/in?key=s3cret\"\ntoken = \"s3cret\"\n\
         [[targets]]\nid = \"payroll\"\nconnector = \"webhook\"\nkind = \"punch\"\n\
         url = \"https://pay.example.com/hook/s3cret\"\nsecret = \"s3cret\"\n"
    );
    let pages = Pages::of(&toml).await;
    let app = &pages.bridge.app;
    let mut people = [("1", "sent"), ("2", "pending"), ("3", "rejected")]
        .map(|(id, state)| (Person::new(id, id, "present"), state));
    for (person, state) in &mut people {
        person.delivery = Some((state, None));
    }
    pages.store(&people.map(|(person, _)| person)).await;
    pages
        .bridge
        .add_address("Gate", "192.0.2.1:4370", "main", None)
        .await;
    let gate = app.store.device("Gate").await.unwrap();
    let tx = app.store.begin().await.unwrap();
    let read = device::ActiveModel {
        id: Set(gate.id),
        complete_until: Set(Some(app.clock.now())),
        ..Default::default()
    };
    read.update(&tx).await.unwrap();
    for (row, paused) in app.targets.iter().zip([None, Some(3_600)]) {
        let row = target::ActiveModel {
            id: Set(row.id.clone()),
            fingerprint: Set(row.fingerprint()),
            paused_reason: Set(paused.map(|_| "it answered 503".to_owned())),
            paused_until: Set(paused.map(|wait| app.clock.now() + wait)),
            pauses: Set(0),
            ..Default::default()
        };
        target::Entity::insert(row)
            .exec_without_returning(&tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();

    let page = pages.page(&pages.ada().await, "/").await;
    assert!(!page.contains("s3cret"), "{page}");
    let lines = words_below(&page, "delivery");
    let [crm, payroll] = &lines[..] else {
        panic!("{lines:?}")
    };
    // Of the entries one was sent, one waits and one was refused; they are of Friday.
    assert!(
        crm.starts_with("crm days as json to 127.0.0.1 On next try now 2026-03-06 00:00"),
        "{crm}"
    );
    for part in [
        "payroll punches as webhook to pay.example.com Paused until",
        "in 60 min it answered 503",
    ] {
        assert!(payroll.contains(part), "{part}: {payroll}");
    }
}

#[tokio::test]
async fn a_malformed_parameter_is_named() {
    let pages = Pages::new().await;
    let browser = pages.ada().await;
    for (path, named) in [
        ("/?date=2026-02-30", "date"),
        ("/?date=", "date"),
        ("/?date=%3Cscript%3E", "date"),
        ("/?show=everything", "show"),
        ("/?page=2", "page"),
    ] {
        let answer = pages.get(&browser, path).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{path}");
        let page = answer.text().await.unwrap();
        assert!(
            page.contains(&format!("parameter {named}")) || page.contains("&#34;page&#34;"),
            "{path}: {page}"
        );
        assert!(!page.contains("<script"), "{path}");
    }
    assert_eq!(
        pages.get(&browser, "/nothing").await.status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn metrics_are_told_to_those_who_may_log_in() {
    let pages = Pages::new().await;
    let stranger = browser();
    let answer = pages.get(&stranger, "/metrics").await;
    assert_ne!(answer.status(), StatusCode::OK);
    pages
        .bridge
        .add_address("Gate \"2\"", "192.0.2.1:4370", "main", None)
        .await;
    let store = &pages.bridge.app.store;
    store
        .open_alarm("device_silent", "Gate \"2\"", "silent", 0)
        .await
        .unwrap();
    let browser = pages.ada().await;
    let text = pages.page(&browser, "/metrics").await;
    assert!(
        text.contains("zk_bridge_device_enabled{device=\"Gate \\\"2\\\"\"} 1"),
        "{text}"
    );
    assert!(
        text.contains("zk_bridge_alarm{kind=\"device_silent\""),
        "{text}"
    );
}

#[tokio::test]
async fn a_program_with_a_token_reads_metrics_and_changes_nothing() {
    let pages = Pages::new().await;
    let app = &pages.bridge.app;
    let token = http::auth::add_token(app, "prometheus", "viewer")
        .await
        .unwrap();
    let ask = async |path: &str, authorization: &str| {
        let request = browser()
            .get(format!("{}{path}", pages.url))
            .header("authorization", authorization);
        request.send().await.unwrap()
    };
    for scheme in ["Bearer", "Token", "bearer"] {
        let answer = ask("/metrics", &format!("{scheme} {token}")).await;
        assert_eq!(answer.status(), StatusCode::OK, "{scheme}");
        assert!(!answer.headers().contains_key(SET_COOKIE));
        let text = answer.text().await.unwrap();
        assert!(text.contains("zk_bridge_assessed_until_seconds"), "{text}");
    }
    for wrong in [
        "Bearer nonsense".to_owned(),
        format!("Bearer {token}x"),
        format!("Token {}", secret::token_hash(&token)),
    ] {
        let answer = ask("/metrics", &wrong).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{wrong}");
    }
    // The pages are for people.
    let answer = ask("/", &format!("Bearer {token}")).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let logout = browser()
        .post(format!("{}/logout", pages.url))
        .header(ORIGIN, &pages.url)
        .header("authorization", format!("Bearer {token}"));
    assert_eq!(
        logout.send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED
    );
    let stored = app.store.tokens().await.unwrap();
    assert!(!format!("{stored:?}").contains(&token));

    assert!(app.store.remove_token("prometheus").await.unwrap());
    let answer = ask("/metrics", &format!("Bearer {token}")).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
}

//! Who is told of trouble, by mail and by webhook; until when everything is complete.

use std::sync::{Arc, Mutex};

use bridge_bin::demo::crm_stub::Fault;
use bridge_bin::jobs::process;
use bridge_bin::notify;
use bridge_bin::status::Status;
use bridge_bin::store::alarms::{NewNotice, make_notices};
use bridge_bin::store::entity::{alarm, device, outbox};
use sea_orm::ActiveValue::Set;
use sea_orm::{ActiveModelTrait, EntityTrait};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use zk_proto::mock::MockDevice;

use super::{FRIDAY_NOON, crm, fail, stub};
use crate::support::{Bridge, NAIROBI, date, punch, start, terminal, user};

#[tokio::test]
async fn i6_the_watermark_names_who_holds_it_back() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-05 08:00"),
        punch("7", "2026-03-05 17:00"),
    ])
    .await;
    let bridge = Bridge::new(&format!("{NAIROBI}{}", crm(&hr)), FRIDAY_NOON).await;
    bridge.sync().await;
    let holder = || async {
        let complete = Status::load(&bridge.app).await.unwrap().complete;
        (complete.until.is_some(), complete.held_back_by)
    };
    assert_eq!(holder().await, (false, None));
    bridge.add("gate", &gate).await;
    assert_eq!(holder().await, (false, Some("gate".to_owned())));
    bridge.poll().await;
    assert_eq!(
        holder().await,
        (
            false,
            Some("the assessment of days, which has not begun".to_owned())
        )
    );
    bridge.process().await;
    let began = Status::load(&bridge.app).await.unwrap().devices[0].complete_until;
    assert_eq!(
        holder().await,
        (true, Some("the delivery to crm".to_owned()))
    );
    bridge.sync().await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.complete.held_back_by.as_deref(), Some("gate"));
    assert_eq!(status.complete.until, began);
}

/// Takes mail and keeps it, on loopback.
struct MailStub {
    port: u16,
    mails: Arc<Mutex<Vec<String>>>,
}

impl MailStub {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move { converse(stream, kept).await });
            }
        });
        Self { port, mails }
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }
}

async fn converse(stream: tokio::net::TcpStream, kept: Arc<Mutex<Vec<String>>>) {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut say = async |text: &str| write.write_all(text.as_bytes()).await.is_ok();
    say("220 stub\r\n").await;
    let mut mail = None::<String>;
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(text) = &mut mail {
            if line == "." {
                kept.lock().unwrap().push(std::mem::take(text));
                mail = None;
                say("250 taken\r\n").await;
            } else {
                text.push_str(&line);
                text.push('\n');
            }
            continue;
        }
        let said = match line.split(' ').next().unwrap_or_default() {
            "DATA" => {
                mail = Some(String::new());
                "354 go on\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 fine\r\n",
        };
        if !say(said).await {
            return;
        }
    }
}

fn mailing(stub: &MailStub, more: &str) -> String {
    format!(
        "[mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"bridge@example.com\"\n\
         to = [\"hr@example.com\"]\n{more}",
        stub.port
    )
}

/// The text of a mail as it was written, whatever the transfer encoding made of long lines.
fn unfolded(mail: &str) -> String {
    mail.replace("=\n", "").replace("=20\n", " \n")
}

async fn set_device(bridge: &Bridge, change: device::ActiveModel) {
    let tx = bridge.app.store.begin().await.unwrap();
    change.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn i21_an_alarm_is_told_once_by_mail_and_webhook_and_so_is_its_end() {
    let mail = MailStub::start().await;
    let posted = HookStub::start().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let toml = format!(
        "{NAIROBI}[alarms]\nclock_drift_seconds = 0\nwebhook_url = \"http://127.0.0.1:{}/alarms\"\n\
         webhook_secret = \"s1gn\"\n{}",
        posted.port,
        mailing(&mail, "interval_minutes = 0\n")
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("Gate", &gate).await;
    bridge.turn().await;
    notify::turn(&bridge.app).await.unwrap();
    assert!(mail.take().is_empty(), "all is well");

    let id = bridge.app.store.device("Gate").await.unwrap().id;
    let now = bridge.app.clock.now();
    let silent = device::ActiveModel {
        id: Set(id),
        complete_until: Set(Some(now - 4 * 3_600)),
        ..Default::default()
    };
    set_device(&bridge, silent).await;
    for _ in 0..3 {
        notify::turn(&bridge.app).await.unwrap();
    }
    let mails = mail.take();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(
        mails[0].contains("Subject: zk-bridge: 1 alarm"),
        "{}",
        mails[0]
    );
    assert!(
        unfolded(&mails[0]).contains("Gate has been silent since"),
        "{}",
        mails[0]
    );
    assert!(mails[0].contains("Africa/Nairobi"));
    let posts = posted.take();
    assert_eq!(posts.len(), 1, "{posts:?}");
    assert!(posts[0].contains("device_silent") && posts[0].contains("\"state\":\"open\""));
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.alarms.len(), 1);

    bridge.poll().await;
    notify::turn(&bridge.app).await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    let mails = mail.take();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    assert!(mails[0].contains("1 alarm over"), "{}", mails[0]);
    assert!(posted.take()[0].contains("\"state\":\"over\""));
    assert!(Status::load(&bridge.app).await.unwrap().alarms.is_empty());
}

#[tokio::test]
async fn i21_whoever_stops_does_not_wait_for_a_mail_server_and_no_alarm_is_lost() {
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = MailStub {
        port: mute.local_addr().unwrap().port(),
        mails: Arc::default(),
    };
    let interval = "interval_minutes = 0\n";
    let mut bridge = Bridge::new(
        &format!("{NAIROBI}{}", mailing(&silent, interval)),
        FRIDAY_NOON,
    )
    .await;
    bridge
        .add_address("Gate", "192.0.2.1:4370", "main", None)
        .await;
    let (shutdown, stop) = bridge_bin::lifecycle::Shutdown::new();
    let running = tokio::spawn(notify::run(bridge.app.clone(), stop));
    // It says nothing, so that the mail is under way until somebody gives up.
    let (_conversation, _) = mute.accept().await.unwrap();
    shutdown.stop();
    // The mail itself would wait for half a minute.
    let ended = tokio::time::timeout(std::time::Duration::from_secs(20), running).await;
    ended.expect("it stops").unwrap();
    let open = bridge.app.store.open_alarms().await.unwrap();
    assert_eq!((open.len(), open[0].mailed_at), (1, None));

    let mail = MailStub::start().await;
    bridge.toml = format!("{NAIROBI}{}", mailing(&mail, interval));
    bridge.at(FRIDAY_NOON).await;
    notify::turn(&bridge.app).await.unwrap();
    assert!(mail.take()[0].contains("1 alarm"));
}

#[tokio::test]
async fn i21_nobody_is_told_of_a_silent_terminal_on_a_day_off_or_of_a_value_at_the_limit() {
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    // A Sunday.
    let mut bridge = Bridge::new(NAIROBI, "2026-03-08T09:00:00Z").await;
    bridge.add("Gate", &gate).await;
    bridge.poll().await;
    let id = bridge.app.store.device("Gate").await.unwrap().id;
    let now = bridge.app.clock.now();
    let mut change = device::ActiveModel {
        id: Set(id),
        complete_until: Set(Some(now - 4 * 3_600)),
        log_capacity: Set(Some(100)),
        clock_drift_s: Set(Some(-300)),
        ..Default::default()
    };
    set_device(&bridge, change.clone()).await;
    notify::turn(&bridge.app).await.unwrap();
    let open = |alarms: Vec<alarm::Model>| -> Vec<String> {
        alarms.into_iter().map(|row| row.name).collect()
    };
    let store = bridge.app.store.clone();
    assert_eq!(
        open(store.open_alarms().await.unwrap()),
        ["clock_drift:Gate"]
    );
    // Half way back is not over.
    for (drift, left) in [(-100, 1), (-59, 0)] {
        change.clock_drift_s = Set(Some(drift));
        set_device(&bridge, change.clone()).await;
        notify::turn(&bridge.app).await.unwrap();
        assert_eq!(store.open_alarms().await.unwrap().len(), left, "{drift}");
    }
    bridge.at("2026-03-09T09:00:00Z").await;
    notify::turn(&bridge.app).await.unwrap();
    assert_eq!(
        open(store.open_alarms().await.unwrap()),
        ["device_silent:Gate"]
    );
}

#[tokio::test]
async fn i21_dead_letters_and_an_old_queue_ring() {
    let hr = stub().await;
    hr.fail(fail(
        Fault::Status(axum::http::StatusCode::UNPROCESSABLE_ENTITY),
        1,
    ));
    let gate = terminal(["1", "2"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let toml = format!(
        "{NAIROBI}{}start_date = \"2026-03-05\"\n[alarms]\nclock_drift_seconds = 0\n",
        crm(&hr)
    );
    let bridge = Bridge::new(&toml, "2026-03-05T20:00:00Z").await;
    bridge.add("Gate", &gate).await;
    bridge.turn().await;
    let tx = bridge.app.store.begin().await.unwrap();
    outbox::Entity::update_many()
        .col_expr(
            outbox::Column::QueuedAt,
            sea_orm::sea_query::Expr::value(bridge.app.clock.now() - 7_200),
        )
        .exec(&tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    let names = || async {
        let open = bridge.app.store.open_alarms().await.unwrap();
        open.into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["queue_old:crm"]);
    bridge.sync().await;
    notify::turn(&bridge.app).await.unwrap();
    assert_eq!(names().await, ["dead_letters:crm"]);
}

#[tokio::test]
async fn b36_new_outliers_come_in_one_mail_with_the_zone_and_back_fill_in_none() {
    let mail = MailStub::start().await;
    let gate = start(
        MockDevice::builder()
            .user(user(7, "7", "Ada"))
            .user(user(8, "8", "Bob"))
            .records([
                punch("7", "2026-02-10 03:00"),
                punch("7", "2026-02-10 17:00"),
                punch("7", "2026-03-05 05:00"),
                punch("7", "2026-03-05 17:00"),
                punch("8", "2026-03-05 05:10"),
                punch("8", "2026-03-05 17:00"),
            ]),
    )
    .await;
    let toml = format!(
        "{NAIROBI}[alarms]\nclock_drift_seconds = 0\n{}",
        mailing(&mail, "outliers = true\ninterval_minutes = 60\n")
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("Gate", &gate).await;
    bridge.turn().await;
    notify::turn(&bridge.app).await.unwrap();
    let mails = mail.take();
    assert_eq!(mails.len(), 1, "{mails:#?}");
    let text = unfolded(&mails[0]);
    assert!(text.contains("2 new outliers"), "{text}");
    assert!(
        text.contains("Ada (7), Gate at 2026-03-05T05:00:00+03:00"),
        "{text}"
    );
    assert!(text.contains("(Africa/Nairobi)"), "{text}");
    assert!(!text.contains("2026-02-10"), "{text}");

    // Once, and not before the interval has passed.
    let again = process::Options {
        from: Some(date("2026-03-01")),
        ..Default::default()
    };
    process::run(&bridge.app, &again).await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    assert!(mail.take().is_empty());
}

/// Takes POSTs and keeps their heads and bodies, on loopback.
struct HookStub {
    port: u16,
    posts: Arc<Mutex<Vec<String>>>,
}

impl HookStub {
    async fn start() -> Self {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posts);
        let take = axum::routing::post(
            move |headers: axum::http::HeaderMap, body: String| async move {
                let signed = headers.contains_key(crm_client::SIGNATURE_HEADER);
                kept.lock()
                    .unwrap()
                    .push(format!("signed: {signed} {body}"));
            },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = axum::Router::new().route("/alarms", take);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { port, posts }
    }

    fn take(&self) -> Vec<String> {
        let posts = std::mem::take(&mut *self.posts.lock().unwrap());
        assert!(posts.iter().all(|post| post.starts_with("signed: true")));
        posts
    }
}

#[tokio::test]
async fn a_mail_names_the_first_outliers_and_counts_all() {
    let mail = MailStub::start().await;
    let toml = format!("{NAIROBI}{}", mailing(&mail, "outliers = true\n"));
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    let notices = (0..60).map(|n| NewNotice {
        name: format!("n{n}"),
        employee: "7".to_owned(),
        date: "2026-03-05".to_owned(),
        detail: format!("outlier no. {n};"),
    });
    let tx = bridge.app.store.begin().await.unwrap();
    make_notices(&tx, notices.collect(), 0).await.unwrap();
    tx.commit().await.unwrap();
    notify::turn(&bridge.app).await.unwrap();
    let text = unfolded(&mail.take()[0]);
    assert!(text.contains("60 new outliers"), "{text}");
    assert!(
        text.contains("no. 49;") && !text.contains("no. 50;"),
        "{text}"
    );
    assert!(text.contains("and 10 more"), "{text}");
    assert_eq!(
        bridge.app.store.count_untold_notices().await.unwrap().count,
        0
    );
}

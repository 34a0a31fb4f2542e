//! Targets that are new, or that are told something else from now on.

use bridge_bin::jobs::sync;
use bridge_bin::notify;
use bridge_bin::status::Status;
use bridge_bin::store::entity::daily_record;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};

use super::{FRIDAY_NOON, crm, current, held, stub, webhook};
use crate::support::{Bridge, NAIROBI, punch, terminal};

#[tokio::test]
async fn a_target_added_later_is_told_what_it_missed_and_says_so() {
    let (first, later) = (stub().await, stub().await);
    let gate = terminal([
        punch("7", "2026-03-03 08:00"),
        punch("7", "2026-03-03 17:00"),
        punch("8", "2026-03-04 08:00"),
    ])
    .await;
    let mut bridge = Bridge::new(&format!("{NAIROBI}{}", crm(&first)), FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    bridge
        .with(&webhook("hr", "punch", &later), FRIDAY_NOON)
        .await;

    let dry = sync::Options {
        dry_run: true,
        target: Some("hr".to_owned()),
        ..Default::default()
    };
    assert_eq!(sync::run(&bridge.app, &dry).await.unwrap().total, 3);
    assert!(held(&later).is_empty());
    let report = bridge.sync().await;
    assert_eq!((report.queued, report.successful), (3, 3));
    assert_eq!(held(&later).len(), 3);
    assert_eq!(bridge.sync().await.queued, 0);
}

#[tokio::test]
async fn a_target_is_never_told_another_kind_under_the_same_id() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-03 08:00")]).await;
    let mut bridge = Bridge::new(
        &format!("{NAIROBI}{}", webhook("hr", "day", &hr)),
        FRIDAY_NOON,
    )
    .await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    let before = hr.snapshot();
    bridge.toml = format!("{NAIROBI}{}", webhook("hr", "punch", &hr));
    bridge.at(FRIDAY_NOON).await;
    gate.punch(punch("7", "2026-03-03 17:00"));
    assert_eq!(bridge.turn().await.queued, 0);
    let error = sync::run(&bridge.app, &sync::Options::default())
        .await
        .unwrap_err();
    assert_eq!(bridge_bin::Failure::of(&error).kind, "target_kind");
    assert_eq!(hr.snapshot(), before);
}

#[tokio::test]
async fn b71_the_first_punch_of_a_start_date_is_sent_and_nothing_before_it() {
    let hr = stub().await;
    let gate = terminal([
        punch("7", "2026-03-04 17:00"),
        punch("7", "2026-03-05 08:00"),
    ])
    .await;
    let toml = format!(
        "{NAIROBI}{}start_date = \"2026-03-05\"\n",
        webhook("hr", "punch", &hr)
    );
    let bridge = Bridge::new(&toml, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.sync().await;
    assert_eq!(current(&hr, "time"), ["2026-03-05 08:00:00"]);
}

#[tokio::test]
async fn p6_one_person_stops_no_new_target() {
    let hr = stub().await;
    let gate = terminal(["7", "8"].map(|id| punch(id, "2026-03-05 08:00"))).await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let tx = bridge.app.store.begin().await.unwrap();
    daily_record::Entity::update_many()
        .col_expr(
            daily_record::Column::Content,
            sea_orm::sea_query::Expr::value("{"),
        )
        .filter(daily_record::Column::Employee.eq("7"))
        .exec(&tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let more = format!("{}start_date = \"2026-03-05\"\n", webhook("hr", "day", &hr));
    bridge.with(&more, FRIDAY_NOON).await;

    let dry = sync::Options {
        dry_run: true,
        ..Default::default()
    };
    assert!(sync::run(&bridge.app, &dry).await.unwrap().total > 0);
    bridge.sync().await;
    let people = || {
        let mut people = current(&hr, "user_id");
        people.dedup();
        people
    };
    assert_eq!(people(), ["8"]);
    assert_eq!(bridge.sync().await.queued, 0, "it is not new any more");
    // The job makes the broken days anew, and tells them.
    assert_eq!(bridge.process().await.failed, 0);
    bridge.sync().await;
    assert_eq!(people(), ["7", "8"]);
}

#[tokio::test]
async fn what_a_target_missed_is_told_in_portions_to_the_last_person() {
    let hr = stub().await;
    let people: Vec<String> = (1..=120).map(|id| id.to_string()).collect();
    let gate = terminal(people.iter().map(|id| punch(id, "2026-03-05 08:00"))).await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    bridge.with(&webhook("hr", "punch", &hr), FRIDAY_NOON).await;
    assert_eq!(bridge.sync().await.queued, 120);
    assert_eq!(held(&hr).len(), 120);
    assert_eq!(bridge.sync().await.queued, 0);
}

#[tokio::test]
async fn i6_nothing_is_complete_for_a_target_that_is_new_or_refused() {
    let hr = stub().await;
    let gate = terminal([punch("7", "2026-03-05 08:00")]).await;
    let mut bridge = Bridge::new(NAIROBI, FRIDAY_NOON).await;
    bridge.add("gate", &gate).await;
    bridge.turn().await;
    let alarms = "[alarms]\nclock_drift_seconds = 0\n";
    bridge
        .with(
            &format!("{}{alarms}", webhook("hr", "day", &hr)),
            FRIDAY_NOON,
        )
        .await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.targets[0].complete_until, None);
    assert_eq!(status.complete.until, None);
    let holder = status.complete.held_back_by.unwrap();
    assert!(holder.starts_with("the delivery to hr, "), "{holder}");
    bridge.sync().await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert!(status.complete.until.is_some(), "{:?}", status.complete);
    notify::turn(&bridge.app).await.unwrap();
    assert!(bridge.app.store.open_alarms().await.unwrap().is_empty());

    bridge.toml = format!("{NAIROBI}{}{alarms}", webhook("hr", "punch", &hr));
    bridge.at(FRIDAY_NOON).await;
    let status = Status::load(&bridge.app).await.unwrap();
    assert_eq!(status.complete.until, None);
    let why = status.targets[0].incomplete.as_deref().unwrap();
    assert!(why.contains("told day entries"), "{why}");
    notify::turn(&bridge.app).await.unwrap();
    let open = bridge.app.store.open_alarms().await.unwrap();
    assert_eq!(open[0].name, "queue_old:hr");
}

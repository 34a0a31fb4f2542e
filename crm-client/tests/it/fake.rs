//! The fake keeps the promises that a CRM is asked for.

use std::time::Duration;

use crm_client::{Crm, DayEntry, Error, FakeCrm, Fault, Outcome};

use crate::wire::{entries, entry};

/// B1: in, send, out, send; the CRM ends with the whole day.
#[tokio::test]
async fn b1_a_later_revision_replaces_the_half_day() {
    let crm = FakeCrm::new();
    let morning = DayEntry {
        record_id: "17".into(),
        clock_in: Some("08:00".into()),
        ..DayEntry::default()
    };
    let evening = DayEntry {
        clock_out: Some("17:00".into()),
        ..morning.clone()
    };
    crm.push(&[morning.freeze("hr", 1)]).await.unwrap();
    crm.push(&[evening.freeze("hr", 2)]).await.unwrap();
    assert_eq!(crm.applied("17"), [1, 2]);
    assert_eq!(crm.current("17").unwrap().content["clock_out"], "17:00");
}

#[tokio::test]
async fn the_highest_revision_wins_in_any_order() {
    let crm = FakeCrm::new();
    let day = DayEntry {
        record_id: "17".into(),
        ..DayEntry::default()
    };
    crm.push(&[day.freeze("hr", 9), day.freeze("hr", 2)])
        .await
        .unwrap();
    assert_eq!(crm.current("17").unwrap().revision, 9);
}

#[tokio::test]
async fn a_lost_answer_does_not_apply_twice() {
    let crm = FakeCrm::new();
    crm.fail_next(1, Fault::LoseAnswer);
    assert!(matches!(
        crm.push(&[entry("17")]).await.unwrap()[0],
        Outcome::Retry { .. }
    ));
    assert_eq!(
        crm.push(&[entry("17")]).await.unwrap(),
        [Outcome::AlreadyKnown]
    );
    assert_eq!(crm.applied(entry("17").entry_id()), [1]);
    assert_eq!(crm.seen(), 2);
}

#[tokio::test]
async fn faults_come_in_their_order_and_can_be_healed() {
    let crm = FakeCrm::new();
    crm.fail_next(1, Fault::Busy(Duration::from_secs(5)));
    crm.fail_next(1, Fault::Reject("no".into()));
    let batch = entries(3);
    crm.fail_always(batch[2].entry_id(), Fault::Unavailable);
    let outcomes = crm.push(&batch).await.unwrap();
    assert!(matches!(outcomes[0], Outcome::Retry { after: Some(_), .. }));
    assert!(matches!(outcomes[1], Outcome::Rejected { .. }));
    assert!(matches!(outcomes[2], Outcome::Retry { after: None, .. }));
    crm.heal();
    assert!(
        crm.push(&batch)
            .await
            .unwrap()
            .iter()
            .all(Outcome::is_delivered)
    );
}

#[tokio::test]
async fn a_closed_door_fails_the_whole_push() {
    let crm = FakeCrm::new();
    crm.fail_next(1, Fault::Unauthorised);
    assert!(matches!(crm.check().await, Err(Error::Unauthorised { .. })));
    assert!(matches!(
        crm.push(&entries(2)).await,
        Err(Error::Unauthorised { .. })
    ));
    assert!(crm.check().await.is_ok());
}

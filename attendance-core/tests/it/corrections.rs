//! What humans add stays heard (design, P11).

use attendance_core::{
    Change, Config, Correction, Disposition, Error, Instant, Kind, Lock, PunchTime, Side, Status,
    Strategy, assess,
};

use crate::site::{civil, config, corrected, date, plan, punches, record};

const DAY: &str = "2025-03-03";

fn site() -> Config {
    config("Africa/Nairobi", DAY, DAY, "08:00", "17:00")
}

fn correction(id: &str, at: i64, change: Change) -> Correction {
    Correction {
        id: id.into(),
        change,
        by: "hr".to_owned(),
        at: Instant::from_unix(at),
        reason: "asked".to_owned(),
    }
}

fn add(id: &str, at: i64, time: &str) -> Correction {
    let time = PunchTime::Civil(civil(time));
    correction(
        id,
        at,
        Change::AddPunch {
            employee: "E1".into(),
            time,
            state: None,
        },
    )
}

fn void(id: &str, at: i64, target: &str) -> Correction {
    correction(
        id,
        at,
        Change::VoidPunch {
            target: target.into(),
        },
    )
}

fn undo(id: &str, at: i64, target: &str) -> Correction {
    correction(
        id,
        at,
        Change::Undo {
            target: target.into(),
        },
    )
}

#[test]
fn an_added_punch_completes_the_day_in_the_sites_zone() {
    let mut config = site();
    // Known devices and people do not matter for it.
    config.devices = Some(vec![attendance_core::Device::new("door")]);
    config.identities = Some(vec![attendance_core::Identity {
        device: None,
        user: "E1".into(),
        employee: "E1".into(),
    }]);
    let outcome = corrected(
        config,
        &punches(&["2025-03-03 08:00"]),
        &[add("c1", 1, "2025-03-03 17:00")],
    );
    let day = record(&outcome, "E1", DAY);
    assert_eq!((day.status, day.worked_s), (Status::Present, 9 * 3600));
    assert_eq!(outcome.punch("c1").unwrap().disposition.as_str(), "used");
}

#[test]
fn a_voided_punch_keeps_a_place_and_counts_for_nothing() {
    let punches = punches(&["2025-03-03 08:00", "2025-03-03 12:00", "2025-03-03 17:00"]);
    let outcome = corrected(
        site(),
        &punches,
        &[void("c1", 1, "p3"), void("c2", 2, "nowhere")],
    );
    assert_eq!(
        outcome.punch("p3").unwrap().disposition,
        Disposition::Voided { by: "c1".into() }
    );
    assert_eq!(record(&outcome, "E1", DAY).worked_s, 4 * 3600);
    assert_eq!(outcome.punches.len(), 3);
}

#[test]
fn voided_goes_before_every_other_disposition() {
    let mut config = site();
    config.devices = Some(Vec::new());
    let outcome = corrected(
        config,
        &punches(&["2025-03-03 08:00"]),
        &[void("c1", 1, "p1")],
    );
    let punch = outcome.punches.get(0).unwrap();
    assert_eq!((punch.disposition.as_str(), punch.time), ("voided", None));
    assert!(outcome.records.is_empty(), "nobody is known");
}

#[test]
fn an_undo_can_be_undone_and_order_does_not_matter() {
    let punches = punches(&["2025-03-03 08:00", "2025-03-03 17:00"]);
    let mut corrections = [void("a", 1, "p2"), undo("b", 2, "a"), undo("c", 3, "b")];
    for _ in 0..corrections.len() {
        corrections.rotate_left(1);
        let disposition = |last: i64| {
            let used: Vec<Correction> = corrections
                .iter()
                .filter(|correction| correction.at <= Instant::from_unix(last))
                .cloned()
                .collect();
            corrected(site(), &punches, &used)
                .punch("p2")
                .unwrap()
                .disposition
                .as_str()
        };
        assert_eq!(
            [disposition(1), disposition(2), disposition(3)],
            ["voided", "used", "voided"]
        );
    }
}

#[test]
fn an_added_punch_can_be_voided_or_its_correction_undone() {
    let punches = punches(&["2025-03-03 08:00"]);
    let voided = corrected(
        site(),
        &punches,
        &[add("c1", 1, "2025-03-03 17:00"), void("c2", 2, "c1")],
    );
    assert_eq!(record(&voided, "E1", DAY).missing, [Side::Out]);
    assert_eq!(voided.punches.len(), 2);
    let undone = corrected(
        site(),
        &punches,
        &[add("c1", 1, "2025-03-03 17:00"), undo("c2", 2, "c1")],
    );
    assert_eq!(record(&undone, "E1", DAY).missing, [Side::Out]);
    assert_eq!(undone.punches.len(), 1);
}

#[test]
fn a_kind_set_by_hand_holds_under_state_and_the_latest_one_wins() {
    let set = |id: &str, at, kind| {
        correction(
            id,
            at,
            Change::SetKind {
                target: "p1".into(),
                kind,
            },
        )
    };
    let mut config = site();
    config.strategy = Strategy::State;
    let punches = punches(&["2025-03-03 08:00"]);
    let corrections = [set("z", 1, Kind::In), set("a", 2, Kind::Out)];
    let outcome = corrected(config, &punches, &corrections);
    assert_eq!(record(&outcome, "E1", DAY).missing, [Side::In]);
}

#[test]
fn a_kind_set_by_hand_is_refused_where_nothing_reads_kinds() {
    let set = correction(
        "c1",
        1,
        Change::SetKind {
            target: "p1".into(),
            kind: Kind::Out,
        },
    );
    let plan = plan(site());
    let refused = assess(&[], std::slice::from_ref(&set), &plan, None).unwrap_err();
    assert_eq!(refused, Error::SetKindRefused { id: "c1".into() });
    assert_eq!(refused.code(), "set_kind_refused");
    // Unless it was taken back.
    assert!(assess(&[], &[set, undo("c2", 2, "c1")], &plan, None).is_ok());
}

#[test]
fn a_punch_added_after_the_lock_does_not_change_the_closed_day() {
    let mut config = site();
    config.locks = vec![Lock {
        until: date(DAY),
        at: Instant::from_unix(1_741_200_000),
    }];
    let late = add("c1", 1_741_300_000, "2025-03-03 17:00");
    let outcome = corrected(config, &punches(&["2025-03-03 08:00"]), &[late]);
    assert_eq!(
        outcome.punch("c1").unwrap().disposition,
        Disposition::LateLocked { until: date(DAY) }
    );
    assert_eq!(record(&outcome, "E1", DAY).missing, [Side::Out]);
}

#[test]
fn one_correction_id_with_two_contents_is_refused() {
    let corrections = [void("c1", 1, "p1"), void("c1", 1, "p2")];
    let error = assess(&[], &corrections, &plan(site()), None).unwrap_err();
    assert_eq!(error.code(), "conflicting_correction_id");
    assert!(
        assess(
            &[],
            &[corrections[0].clone(), corrections[0].clone()],
            &plan(site()),
            None
        )
        .is_ok()
    );
}

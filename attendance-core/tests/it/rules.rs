//! Every rule has a test, and the page that lists them is right. Beside it the rules that no other test states alone.

use attendance_core::{Assignment, DayType, Error, Punch, RosterEntry, assess};
use chrono::Days;

use crate::site::{config, date, outcome, plan, punches};

const PAGE: &str = include_str!("../../src/manual/rules.rs");
const TESTS: [&str; 9] = [
    include_str!("dst.rs"),
    include_str!("engine.rs"),
    include_str!("errors.rs"),
    include_str!("explanations.rs"),
    include_str!("faults.rs"),
    include_str!("hostile.rs"),
    include_str!("laws.rs"),
    include_str!("night_shift.rs"),
    include_str!("rules.rs"),
];

#[test]
fn each_rule_is_listed_once_with_tests_that_exist() {
    let examples = include_str!("../data/examples.json");
    let examples: serde_json::Value = serde_json::from_str(examples).expect("the examples");
    let cases = examples["cases"].as_array().expect("a list of cases");
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("//! | R"));
    let mut listed: Vec<u8> = Vec::new();
    for row in rows {
        let [number, _, tried, _] = row.split(" |").collect::<Vec<_>>()[..] else {
            panic!("a row has three columns: {row}");
        };
        let rule = format!("R{number}");
        let names: Vec<&str> = tried.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{rule} is tried by nothing");
        for name in names {
            let known = if name.contains('_') {
                let signature = format!("fn {name}(");
                TESTS.iter().any(|test| test.contains(&signature))
            } else {
                let case = cases.iter().find(|case| case["id"] == name);
                let rules = case.and_then(|case| case["rule_ids"].as_array());
                rules.is_some_and(|rules| rules.iter().any(|known| *known == rule))
            };
            assert!(known, "{rule} names {name}");
        }
        listed.push(number.parse().expect("a number"));
    }
    assert_eq!(listed, (1..=64).collect::<Vec<_>>());
}

/// Works two days, then has two off, counted from 10 March.
fn rotation(from: &str, to: Option<&str>) -> RosterEntry {
    let work = vec!["shift".into()];
    RosterEntry {
        assignments: vec![Assignment {
            from: date(from),
            to: to.map(date),
            anchor: Some(date("2025-03-10")),
            pattern: vec![work.clone(), work, vec![], vec![]],
        }],
        ..RosterEntry::new("E1")
    }
}

#[test]
fn a_pattern_turns_before_its_anchor_too() {
    let mut config = config("UTC", "2025-03-03", "2025-03-12", "08:00", "17:00");
    config.roster = vec![rotation("2025-03-01", None)];
    let works: String = outcome(config, &[])
        .records
        .iter()
        .map(|record| match record.day_type {
            DayType::Workday => 'w',
            _ => '-',
        })
        .collect();
    assert_eq!(works, "w--ww--ww-");
}

#[test]
fn every_covered_date_has_a_record_and_no_other_has() {
    let mut config = config("UTC", "2025-03-03", "2025-03-20", "08:00", "17:00");
    config.default_shift = None;
    config.roster = vec![rotation("2025-03-05", Some("2025-03-14"))];
    // In the shift of one date, and on a date without any.
    let told = punches(&["2025-03-10 08:00", "2025-03-10 17:00", "2025-03-18 08:00"]);
    let outcome = outcome(config, &told);
    let dates: Vec<_> = outcome.records.iter().map(|record| record.date).collect();
    let covered: Vec<_> = (0..10)
        .map(|day| date("2025-03-05") + Days::new(day))
        .collect();
    assert_eq!(dates, covered);
    let stray = outcome.punch("p3").expect("every punch has its place");
    assert_eq!(stray.disposition.as_str(), "orphan");
}

/// So many that some of them get the same number to be found by.
#[test]
fn many_ids_are_told_apart_and_repeats_found_among_them() {
    let config = config("UTC", "2025-03-03", "2025-03-03", "08:00", "17:00");
    let told = punches(&["2025-03-03 08:00"]);
    let numbered = |n: u32| Punch {
        id: format!("punch {n} of the year").into(),
        ..told[0].clone()
    };
    let mut told: Vec<Punch> = (0..100_000).rev().map(numbered).collect();
    told.extend((0..100_000).step_by(1000).map(numbered));
    let outcome = outcome(config.clone(), &told);
    assert_eq!(outcome.punches.len(), 100_000);
    let ids: Vec<_> = outcome.punches.iter().map(|punch| punch.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b));

    // Of two conflicts the lower id is named, whatever the order.
    for n in [7000, 3000] {
        let mut other = numbered(n);
        other.state = Some(1);
        told.push(other);
    }
    let error = assess(&told, &[], &plan(config), None).unwrap_err();
    let named = Error::ConflictingPunchId {
        id: numbered(3000).id,
    };
    assert_eq!(error, named);
}

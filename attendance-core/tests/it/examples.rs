//! Every worked example of the rules, compared completely.

use crate::exchange;

const EXAMPLES: &str = include_str!("../data/examples.json");

#[test]
fn every_example_comes_out_as_written() {
    let cases = exchange::cases(EXAMPLES).expect("the examples are in their form");
    assert!(cases.len() >= 122, "only {} cases", cases.len());
    assert_eq!(
        cases.iter().filter(|case| case.source == "seed").count(),
        15
    );

    let complaints: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let differences = case.differences(&case.outcome(false));
            let complaint = || format!("{}:\n  {}", case.id, differences.join("\n  "));
            (!differences.is_empty()).then(complaint)
        })
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_full_form_adds_slot_and_settling() {
    let cases = exchange::cases(EXAMPLES).expect("the examples are in their form");
    let case = cases
        .iter()
        .find(|case| case.id == "as-of")
        .expect("the case");
    let outcome = case.outcome(true);
    let running = &outcome["records"][0];
    assert_eq!(running["slot"], 0);
    // 17:00, three hours of tolerance, two of reach.
    assert_eq!(running["settles_at"], "2025-03-03T22:00:00Z");
    assert!(case.outcome(false)["records"][0].get("slot").is_none());
}

#[test]
fn unknown_fields_are_refused() {
    let text = r#"{"config": {"tz": "UTC", "range": {"from": "2025-03-03", "to": "2025-03-03"}, "colour": "red"}}"#;
    let cases = exchange::cases(text).expect("one case");
    assert_eq!(
        cases[0].outcome(false),
        serde_json::json!({ "error": "invalid_config" })
    );
}

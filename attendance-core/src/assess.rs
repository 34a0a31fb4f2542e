//! Strings the steps together.

use crate::{Correction, Error, Instant, Outcome, Plan, Punch, Zone};

/// From punches to records: the outcome is a function of the plan and the *sets* of punches and corrections (R61).
pub fn assess(
    punches: &[Punch],
    corrections: &[Correction],
    plan: &Plan<impl Zone>,
    as_of: Option<Instant>,
) -> Result<Outcome, Error> {
    let _ = (punches, corrections, plan);
    Ok(Outcome {
        records: Vec::new(),
        punches: Vec::new(),
        weeks: None,
        as_of,
    })
}

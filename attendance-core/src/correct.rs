//! Which corrections hold (design, P11).

use std::collections::{HashMap, HashSet};

use crate::{Change, Correction, CorrectionId, DeviceId, Error, Kind, Punch, PunchId, Strategy};

/// What humans changed, after all undoing.
#[derive(Debug, Default)]
pub(crate) struct Corrected {
    /// Punches added by hand.
    pub(crate) added: Vec<Punch>,
    pub(crate) voided: HashMap<PunchId, CorrectionId>,
    pub(crate) kinds: HashMap<PunchId, Kind>,
}

impl Corrected {
    pub(crate) fn new<'a>(
        corrections: impl IntoIterator<Item = &'a Correction>,
        strategy: Strategy,
    ) -> Result<Self, Error> {
        let mut sorted: Vec<&Correction> = corrections.into_iter().collect();
        sorted.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = sorted
            .windows(2)
            .find(|pair| pair[0].id == pair[1].id && pair[0] != pair[1])
        {
            return Err(Error::ConflictingCorrectionId {
                id: pair[0].id.clone(),
            });
        }
        sorted.dedup_by(|a, b| a.id == b.id);
        // From the latest back, so that an undo is known to hold before its target is looked at.
        sorted.sort_by(|a, b| (b.at, &b.id).cmp(&(a.at, &a.id)));

        let mut undone: HashSet<&str> = HashSet::new();
        let mut corrected = Self::default();
        for correction in sorted {
            if undone.contains(correction.id.as_str()) {
                continue;
            }
            match &correction.change {
                Change::Undo { target } => {
                    undone.insert(target.as_str());
                }
                Change::AddPunch {
                    employee,
                    time,
                    state,
                } => corrected.added.push(Punch {
                    state: *state,
                    received: Some(correction.at),
                    ..Punch::new(
                        correction.id.as_str(),
                        employee.as_str(),
                        DeviceId::MANUAL,
                        *time,
                    )
                }),
                Change::VoidPunch { target } => {
                    // The earliest one is named.
                    corrected
                        .voided
                        .insert(target.clone(), correction.id.clone());
                }
                Change::SetKind { .. } if !strategy.reads_kinds() => {
                    return Err(Error::SetKindRefused {
                        id: correction.id.clone(),
                    });
                }
                Change::SetKind { target, kind } => {
                    corrected.kinds.entry(target.clone()).or_insert(*kind);
                }
            }
        }
        Ok(corrected)
    }

    /// The correction by which a punch does not count.
    pub(crate) fn voided(&self, id: &PunchId) -> Option<&CorrectionId> {
        if self.voided.is_empty() {
            None
        } else {
            self.voided.get(id)
        }
    }

    /// The kind that a human said.
    pub(crate) fn kind(&self, id: &PunchId) -> Option<Kind> {
        if self.kinds.is_empty() {
            None
        } else {
            self.kinds.get(id).copied()
        }
    }
}

//! All words that an outcome can say, and what they mean.
//!
//! # Dispositions: where a punch went
//!
//! Every punch has exactly one. The first that holds from the top is it; the last three follow from the assignment.
//!
//! | [`Disposition`](crate::Disposition) | reason | role | rules | means |
//! |---|---|---|---|---|
//! | `voided` | the correction | | | a human said that it does not count |
//! | `orphan` | `unknown_device` | | R9 | the plan lists devices, and this one is not among them |
//! | `orphan` | `unknown_employee` | | R9 | nobody is known under this user id on this device |
//! | `orphan` | `implausible_time` | | R6 | before or after all plausible instants: quarantined, neither dropped nor paid |
//! | `late_locked` | the closed date | | R35 | it arrived after its period was closed |
//! | `duplicate` | `exact`, `near`, `cross_device` | | R15–R17 | it repeats the kept punch that `of` names |
//! | `used` | | `in`, `out`, `middle`, `redundant` | R36–R40 | it counts for a record |
//! | `out_of_range` | | | R34 | it belongs to a date that was not asked for |
//! | `outlier` | `in_too_early`, `out_too_late` | | R30 | kept with the nearest shift, but beyond what counts |
//! | `orphan` | `no_shift` | | R33 | no shift reaches so far |
//!
//! # Roles: what a used punch is
//!
//! | [`Role`](crate::Role) | rules | means |
//! |---|---|---|
//! | `in` | R36–R40 | it opens a session |
//! | `out` | R36–R40 | it closes a session, or stands for one whose in is missing |
//! | `middle` | R36, R40 | between the first and the last, where only these matter |
//! | `redundant` | R38 | it says what is known already |
//!
//! # Notes: how its time was read
//!
//! | [`Note`](crate::Note) | rules | means |
//! |---|---|---|
//! | `clock_corrected` | R5 | the terminal's clock was off, and by how much is known |
//! | `dst_fold` | R2, R3 | clocks showed this time twice |
//! | `dst_gap` | R2 | clocks never showed this time |
//!
//! # Statuses: the verdict on a record
//!
//! | [`Status`](crate::Status) | rules | means |
//! |---|---|---|
//! | `present` | R57 | was there |
//! | `half_day` | R57 | worked less than `half_day_below_s` |
//! | `absent` | R56, R57 | nobody came, or worked less than `absent_below_s` |
//! | `incomplete` | R56 | a punch is missing, and nothing stands in for it |
//! | `in_progress` | R56 | not final, with punches |
//! | `pending` | R56 | not final, without punches |
//! | `holiday`, `holiday_worked` | R56 | a holiday without and with work |
//! | `weekly_off`, `off_worked` | R56 | a day off without work; work on it, or work that nobody planned |
//!
//! # Flags, outliers, what is missing
//!
//! | word | in | rules | limit and value in [`Explanation`](crate::Explanation) |
//! |---|---|---|---|
//! | `auto_closed` | [`Flag`](crate::Flag) | R42 | `AutoClosed`: which side, and what stands in |
//! | `short_rest` | [`Flag`](crate::Flag) | R59 | `ShortRest`: the rest, and the least |
//! | `dst_change` | [`Flag`](crate::Flag) | R22 | `ClocksChanged`: by how much |
//! | `in_too_early`, `in_too_late` | [`OutlierReason`](crate::OutlierReason) | R53 | `Outlier`: distance and limit; `SetAside`: how many |
//! | `out_too_early`, `out_too_late` | [`OutlierReason`](crate::OutlierReason) | R53 | the same |
//! | `in_unusual`, `out_unusual` | [`OutlierReason`](crate::OutlierReason) | R54 | `Unusual`: the usual time, distance, spread, days |
//! | `in`, `out` | [`Side`](crate::Side) | R41 | `Missing` |
//!
//! Lateness, leaving early, deducted breaks and overtime have a finding each beside their seconds: `Late` and `LeftEarly`
//! (R49), `BreakDeducted` (R47), `Overtime` (R51, R52); what is too short `TooShort` (R57), what may change `NotFinal`
//! (R55).

//! The rules R1 to R64, one line each, and where each is tried.
//!
//! Names with dashes are worked examples, to be read in `tests/data/examples.json` and run by `assess --check`; names with
//! underscores are tests in `tests/it`.
//!
//! # Time
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R1 | a duration is a difference of two instants, in whole seconds | `dst-ny-autumn`, `a_night_over_the_change_lasts_what_it_lasts` |
//! | R2 | a skipped civil time takes the offset before the gap, a doubled one its first occurrence | `dst-gap-punch`, `a_time_that_clocks_skipped_is_read_with_the_offset_before` |
//! | R3 | a doubled time is decided by its fold, else by the record before it on that terminal | `edge-fold-sequence`, `record_numbers_settle_doubled_times_whatever_the_order_of_delivery` |
//! | R4 | a time with an offset is an instant already | `zone-device-differs` |
//! | R5 | a terminal's known clock error is taken back, between two samples in proportion | `edge-clock`, `l12_a_known_clock_error_changes_no_record` |
//! | R6 | what lies outside all plausible instants is set apart | `edge-plausible`, `time-implausible` |
//! | R7 | all walks go by instant, device, user, state, id; never by arrival | `late-arrival`, `l2_order_of_input_has_no_influence` |
//!
//! # Who, and what kind
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R8 | an employee is found by device and user, else by user alone | `identity-map`, `b20_one_user_id_on_two_devices_can_be_two_people` |
//! | R9 | an unlisted device or user makes an orphan, and orphans have an order of reasons | `identity-map`, `p2_every_punch_lands_in_exactly_one_place_with_a_reason` |
//! | R10 | all terminals of a person feed one stream, and people do not touch each other | `seed-two-devices`, `l4_employees_do_not_influence_each_other` |
//! | R11 | by `state`, the state map names the kind | `pair-breaks-by-state` |
//! | R12 | by `direction`, a one-way door names the kind, any other its state | `pair-direction` |
//! | R13 | first and last, and alternating, see no kinds | `seed-first-last-1`, `l10_states_and_directions_mean_nothing_to_blind_strategies` |
//!
//! # Repeats
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R14 | punches are a set by id; one id with two contents is refused | `err-punch-id`, `l1_the_same_punches_again_change_nothing`, `many_ids_are_told_apart_and_repeats_found_among_them` |
//! | R15 | what follows a kept punch within the window repeats it; the window does not slide | `dup-chain`, `l11_kept_punches_keep_their_distance` |
//! | R16 | an in and an out never repeat each other | `dup-opposite-states` |
//! | R17 | a repeat is `cross_device`, `exact` or `near` | `dup-cross-device`, `seed-repoll` |
//! | R18 | a kept punch of unknown kind takes over the kind of its repeat | `edge-unknown-learns` |
//!
//! # The plan
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R19 | a date that is covered by an empty list is a day off | `shift-rotation` |
//! | R20 | a pattern turns from its anchor on, and also before it | `shift-rotation`, `a_pattern_turns_before_its_anchor_too` |
//! | R21 | override, then the latest assignment, then the default | `shift-precedence`, `shift-same-from` |
//! | R22 | a shift that does not end later by the clock ends the day after | `dst-berlin-spring`, `overnight_follows_from_the_times_and_equal_times_are_a_whole_day` |
//! | R23 | punches within the tolerances count, within the reach they are kept; ends included | `edge-reach`, `the_guides_windows_hold_for_a_night` |
//! | R24 | windows of neighbours never overtake one another | `shift-double`, `shift-split-grace` |
//! | R25 | a flexible day takes what comes from its start to the second before the next | `edge-flex-day` |
//! | R26 | unknown shifts, overlaps, zones and limits that make no sense are refused | `err-overlap`, `each_bad_configuration_has_its_code` |
//! | R27 | a record is dated by the start of its shift | `cal-year-end`, `hours_after_midnight_stay_with_the_evening_over_month_and_year_ends` |
//!
//! # Which shift
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R28 | a punch moves along the shifts that accept it, and never behind an earlier one | `shift-night-then-evening`, `l7_work_dates_never_go_back` |
//! | R29 | between two shifts it stays while the first is not done, by the handover | `edge-handover`, `l21_four_honest_punches_of_a_double_shift_land_in_their_own_shifts` |
//! | R30 | beyond all tolerances, but within a reach: an outlier of the nearest shift | `edge-reach-tie` |
//! | R31 | what no reach holds goes to open work of the date, else to unscheduled work | `extra-on-workday`, `an_open_night_runs_into_a_day_off_only_if_extra_work_is_planned_for` |
//! | R32 | open work goes on until a rest or a span is too long | `edge-open` |
//! | R33 | else it belongs to nothing | `edge-reach`, `an_open_night_runs_into_a_day_off_only_if_extra_work_is_planned_for` |
//! | R34 | shifts of dates that were not asked for give no records | `out-of-range` |
//! | R35 | what arrives after a lock, and can touch the locked dates, takes part in nothing | `edge-lock`, `l19_what_arrives_after_a_lock_changes_no_closed_record` |
//!
//! # In and out
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R36 | first and last make one session | `seed-first-last-1`, `l15_a_punch_in_the_middle_changes_nothing_but_the_count` |
//! | R37 | alternating: in, out, in, out | `pair-alternating-lunch` |
//! | R38 | kinds open and close sessions; what says nothing new is redundant | `pair-hrms-2`, `edge-known-state` |
//! | R39 | a lone punch is what the nearer end of the shift makes it | `edge-lone-punch`, `b4_ten_to_eight_belongs_to_the_shift_at_eight_even_alone` |
//! | R40 | punches closer than the least span are one touch | `miss-min-span` |
//! | R41 | an out without in, or an in without out, is told as missing | `miss-in`, `a_forgotten_out_does_not_swallow_the_next_night` |
//! | R42 | where asked for, the shift's own end stands in for a missing one, flagged | `miss-auto-close` |
//!
//! # Measures
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R43 | presence is the sum of sessions, punched breaks the gaps between them | `pair-alternating-lunch`, `l8_the_figures_of_a_record_agree` |
//! | R44 | the outer edges are rounded by the local clock | `round-local-clock` |
//! | R45 | time outside the shift is cut off where asked for | `clip-both` |
//! | R46 | time in a break window is not worked | `break-window-night`, `edge-min-break` |
//! | R47 | automatic breaks take what was not taken, and longer stays never pay less | `break-auto-tiers`, `l14_staying_longer_never_pays_less` |
//! | R48 | the total is rounded last | `round-total` |
//! | R49 | beyond the grace the whole delay counts, from real punches | `grace`, `b18_grace_is_the_sites_choice_and_beyond_it_the_whole_delay_counts` |
//! | R50 | planned is what the breaks leave of the shift | `break-window` |
//! | R51 | overtime is beyond a threshold, or outside the shift, from its minimum on | `edge-ot-outside-min`, `ot-threshold-min` |
//! | R52 | on days that are no work days all work is overtime | `holiday-worked`, `off-day-worked` |
//!
//! # Judgement
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R53 | beyond a tolerance is an outlier; the limit itself is fine | `seed-outlier-overnight`, `the_guides_windows_hold_for_a_night` |
//! | R54 | a time far from the person's own median is unusual, which changes nothing | `stat-edge-exact`, `stat-circular` |
//! | R55 | a record is final when no punch to come can reach it | `edge-final`, `a_record_that_is_not_final_says_when_it_settles` |
//! | R56 | the status is the first that holds | `as-of`, `edge-open-pending` |
//! | R57 | too little work is half a day, or none | `status-thresholds` |
//! | R58 | a day is a holiday, off, unscheduled or a work day, in this order | `holiday-worked` |
//! | R59 | rest is counted from the record before | `rest-short` |
//! | R60 | overtime of the week does not count that of the days again | `week-no-pyramiding`, `week-from-sunday` |
//!
//! # Process
//!
//! | rule | says | tried by |
//! |---|---|---|
//! | R61 | same plan, same sets: same outcome | `late-arrival`, `l2_order_of_input_has_no_influence` |
//! | R62 | news in portions lead to the same as all at once, told as changes | `late-arrival`, `l16_incremental_is_batch_whatever_the_portions` |
//! | R63 | a record is known by employee, date, shift and ordinal; every covered date has one | `shift-three-parts`, `every_covered_date_has_a_record_and_no_other_has` |
//! | R64 | what is wrong gives an error, never a panic | `err-punch-id`, `no_configuration_and_no_input_panics` |

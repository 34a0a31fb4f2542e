//! The first schema: everything design 6.4 names exists from here on.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, binary, boolean, integer, integer_null, string,
    string_null, text, text_null,
};

use super::{pk, table};

pub(super) struct First;

impl MigrationName for First {
    fn name(&self) -> &'static str {
        "m0001_first"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for First {
    /// All or nothing, so that a kill at birth leaves a directory that can be opened.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in tables() {
            manager.create_table(statement).await?;
        }
        for (name, table, columns, unique) in INDEXES {
            let mut index = Index::create();
            index.name(*name).table(Alias::new(*table));
            for column in *columns {
                index.col(Alias::new(*column));
            }
            if *unique {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

const INDEXES: &[(&str, &str, &[&str], bool)] = &[
    // P1: the key of a punch.
    (
        "punch_key",
        "punch",
        &["device_id", "user_id", "told", "punch_state"],
        true,
    ),
    ("punch_told", "punch", &["told"], false),
    ("device_name", "device", &["name"], true),
    ("device_group_name", "device_group", &["name"], true),
    ("identity_key", "identity", &["device_id", "user_id"], true),
    ("identity_employee", "identity", &["employee"], false),
    (
        "correction_employee",
        "correction",
        &["employee", "told"],
        false,
    ),
    ("correction_target", "correction", &["target"], false),
    (
        "roster_assignment_employee",
        "roster_assignment",
        &["employee"],
        false,
    ),
    (
        "daily_record_day",
        "daily_record",
        &["employee", "date"],
        false,
    ),
    ("daily_record_date", "daily_record", &["date"], false),
    // P7: time itself is news.
    (
        "daily_record_settles",
        "daily_record",
        &["settles_at"],
        false,
    ),
    (
        "outbox_revision",
        "outbox",
        &["target", "entry_id", "revision"],
        true,
    ),
    (
        "outbox_due",
        "outbox",
        &["state", "target", "due_at"],
        false,
    ),
    ("outbox_queue", "outbox", &["target", "state"], false),
    ("outbox_employee", "outbox", &["employee"], false),
    ("outbox_date", "outbox", &["date"], false),
    ("run_started", "run", &["started_at"], false),
    ("account_name", "account", &["name"], true),
    ("api_token_hash", "api_token", &["token_hash"], true),
    ("web_session_expires", "web_session", &["expires_at"], false),
];

fn tables() -> Vec<TableCreateStatement> {
    vec![
        // What this database is: `kind` (`bridge` or `demo`), `revision_floor`, `rows_until`.
        table("meta")
            .col(string("key").primary_key())
            .col(text("value"))
            .take(),
        table("device_group")
            .col(big_pk_auto("id"))
            .col(string("name"))
            // Unmapped users of the group are `unknown_employee` until somebody maps them.
            .col(boolean("require_mapping"))
            .take(),
        table("device")
            .col(big_pk_auto("id"))
            .col(string("name"))
            .col(string("address"))
            .col(string_null("secondary_address"))
            // IANA zone of the terminal's own clock.
            .col(string("timezone"))
            // Sealed with the key of the data directory, never in clear.
            .col(text_null("comm_key"))
            .col(string("transport"))
            .col(string("encoding"))
            .col(big_integer("group_id"))
            .col(string_null("office"))
            .col(boolean("enabled"))
            // Bound at the first successful poll; another one stops the poll.
            .col(string_null("serial_number"))
            .col(string_null("mac"))
            .col(string_null("firmware"))
            .col(string_null("platform"))
            .col(string_null("model"))
            .col(big_integer("created_at"))
            .col(big_integer("updated_at"))
            .col(big_integer_null("last_sync"))
            .col(big_integer_null("last_attempt"))
            .col(text_null("last_error"))
            .take(),
        // How far each terminal's log was read (design 5).
        table("cursor")
            .col(big_integer("device_id").primary_key())
            // Grows when a log was cleared or replaced.
            .col(big_integer("log_generation"))
            .col(big_integer("records"))
            // Name of the record layout: its width and byte order.
            .col(string("layout"))
            // Bytes before the first record.
            .col(integer("header"))
            // The last few raw records before `records`, to recognise the log by.
            .col(binary("tail"))
            .col(big_integer("tail_checked_at"))
            .col(big_integer("full_read_at"))
            // False once the firmware refused or mis-served a slice.
            .col(boolean("slices"))
            // False once the counters were caught lying; such a terminal is never skipped.
            .col(boolean("counters_trusted"))
            // User counter at the last reading of the user list.
            .col(big_integer("users"))
            .take(),
        // P1: raw, immutable; only `repeats`, `repeat_differs` and an absent log position are ever updated.
        table("punch")
            .col(big_pk_auto("id"))
            .col(big_integer("device_id"))
            .col(string("user_id"))
            // Device-local time as told, see `store::told`: orders like time and can hold 30 February.
            .col(big_integer("told"))
            .col(integer("punch_state"))
            .col(integer("verify_mode"))
            .col(big_integer("work_code"))
            .col(integer_null("uid"))
            .col(string("source"))
            .col(big_integer("received_at"))
            .col(big_integer_null("log_generation"))
            .col(big_integer_null("log_index"))
            .col(integer("repeats"))
            .col(boolean("repeat_differs"))
            .take(),
        // P11: append-only; undoing is a further row.
        table("correction")
            .col(big_pk_auto("id"))
            .col(string("kind"))
            // `p<punch id>` or `c<correction id>`; none for add_punch.
            .col(string_null("target"))
            .col(string_null("employee"))
            .col(big_integer_null("told"))
            .col(integer_null("state"))
            .col(string_null("value"))
            .col(string("by"))
            .col(big_integer("at"))
            .col(text("reason"))
            .take(),
        table("employee")
            .col(string("id").primary_key())
            .col(string_null("name"))
            .col(string_null("department"))
            .col(string_null("designation"))
            .col(string_null("office"))
            // First and last date with rows of their own, both included.
            .col(string_null("active_from"))
            .col(string_null("active_to"))
            // False for GROUP/USER_ID stand-ins: assessed and shown, never queued (design 6.4).
            .col(boolean("mapped"))
            .take(),
        table("device_user")
            .col(big_integer("device_id"))
            .col(string("user_id"))
            .col(integer("uid"))
            .col(string("name"))
            .col(integer("privilege"))
            .col(big_integer("card"))
            .col(string("group"))
            .col(big_integer("seen_at"))
            .primary_key(&mut pk(&["device_id", "user_id"]))
            .take(),
        // An explicit mapping always wins.
        table("identity")
            .col(big_pk_auto("id"))
            .col(big_integer("device_id"))
            .col(string("user_id"))
            .col(string("employee"))
            .col(big_integer("created_at"))
            .col(text_null("note"))
            .take(),
        table("shift_template")
            .col(string("id").primary_key())
            .col(text("definition"))
            .take(),
        table("roster_assignment")
            .col(big_pk_auto("id"))
            .col(string("employee"))
            .col(string("from"))
            .col(string_null("to"))
            .col(string_null("anchor"))
            // JSON: a list of lists of template ids.
            .col(text("pattern"))
            .take(),
        table("roster_override")
            .col(string("employee"))
            .col(string("date"))
            .col(text("shifts"))
            .primary_key(&mut pk(&["employee", "date"]))
            .take(),
        table("holiday")
            .col(big_pk_auto("id"))
            .col(string("date"))
            // None: everybody's.
            .col(string_null("employee"))
            .col(string_null("name"))
            .take(),
        // The work list of the process job. `mark` grows when a day is touched again while it is being assessed.
        table("dirty_day")
            .col(string("employee"))
            .col(string("date"))
            .col(big_integer("mark"))
            .primary_key(&mut pk(&["employee", "date"]))
            .take(),
        table("daily_record")
            .col(string("record_id").primary_key())
            .col(string("employee"))
            .col(string("date"))
            .col(string_null("shift"))
            .col(string("slot"))
            .col(integer("ordinal"))
            .col(string("status"))
            .col(boolean("is_final"))
            // When a record that is not final becomes so; none if final.
            .col(big_integer_null("settles_at"))
            // Name of the device of the first used punch.
            .col(string_null("device"))
            // The record in the fields of the rules' section 5.
            .col(text("content"))
            .col(big_integer("updated_at"))
            .take(),
        table("target")
            .col(string("id").primary_key())
            // Changes when what is to be sent changes; then existing records are queued.
            .col(string("fingerprint"))
            .col(text_null("paused_reason"))
            .col(big_integer_null("paused_until"))
            .col(integer("pauses"))
            .col(big_integer_null("last_success"))
            .take(),
        // What each target was last told, or is about to be told.
        table("entry")
            .col(string("target"))
            .col(string("entry_id"))
            .col(string("date"))
            .col(big_integer("revision"))
            .col(string("content_hash"))
            .col(boolean("deleted"))
            .col(text_null("remote_id"))
            .primary_key(&mut pk(&["target", "entry_id"]))
            .take(),
        // P4, P5: written in the transaction that changes the record; content is frozen here.
        table("outbox")
            .col(big_pk_auto("id"))
            .col(string("target"))
            .col(string("entry_id"))
            .col(big_integer("revision"))
            .col(string("employee"))
            .col(string("date"))
            .col(boolean("deleted"))
            .col(text("content"))
            .col(string("key"))
            // pending, sent, rejected, dismissed or superseded
            .col(string("state"))
            .col(integer("attempts"))
            .col(big_integer("due_at"))
            .col(big_integer_null("last_attempt"))
            .col(text_null("last_error"))
            .col(big_integer("queued_at"))
            .col(big_integer_null("settled_at"))
            .take(),
        // P9: rows stay, so that tokens only grow.
        table("lease")
            .col(string("name").primary_key())
            .col(string("holder"))
            .col(big_integer("token"))
            // Unix milliseconds; 0 when released.
            .col(big_integer("expires_at"))
            .take(),
        table("schedule")
            .col(string("name").primary_key())
            .col(string("cron"))
            .col(string("zone"))
            .col(boolean("enabled"))
            .col(big_integer("next_due"))
            .take(),
        table("run")
            .col(big_pk_auto("id"))
            .col(string("job"))
            .col(string("node"))
            .col(big_integer("started_at"))
            .col(big_integer_null("ended_at"))
            .col(string_null("outcome"))
            .col(text_null("report"))
            .take(),
        table("account")
            .col(big_pk_auto("id"))
            .col(string("name"))
            // admin, hr or viewer
            .col(string("role"))
            .col(text("password_hash"))
            .col(big_integer("created_at"))
            .take(),
        // Tokens are stored hashed and shown once.
        table("api_token")
            .col(big_pk_auto("id"))
            .col(string("name"))
            .col(string("role"))
            .col(string("token_hash"))
            .col(big_integer("created_at"))
            .take(),
        // Single use: the row is deleted by the request that uses it.
        table("login_link")
            .col(string("token_hash").primary_key())
            .col(big_integer("account_id"))
            .col(big_integer("expires_at"))
            .take(),
        table("web_session")
            .col(string("id").primary_key())
            .col(text("data"))
            .col(big_integer("expires_at"))
            .take(),
        // Every change a human made.
        table("audit")
            .col(big_pk_auto("id"))
            .col(big_integer("at"))
            .col(string("by"))
            .col(string("action"))
            .col(string("subject"))
            .col(text_null("detail"))
            .take(),
    ]
}

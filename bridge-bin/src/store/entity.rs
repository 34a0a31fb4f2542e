//! The rows. One module per table; every instant is Unix seconds, UTC.
//!
//! Names and shapes follow `attendance-rules` 3.2–3.3 where they hold configuration of the rules, so that
//! `convert` can hand them on without inventing anything.

#![expect(missing_docs, reason = "columns are documented once, in `migration`")]

macro_rules! entity {
    ($name:ident, $table:literal, { $($(#[$attr:meta])* $field:ident : $ty:ty),+ $(,)? }) => {
        pub mod $name {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model {
                $($(#[$attr])* pub $field: $ty,)+
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

entity!(meta, "meta", {
    #[sea_orm(primary_key, auto_increment = false)] key: String,
    value: String,
});

entity!(device_group, "device_group", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    require_mapping: bool,
});

entity!(device, "device", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    address: String,
    secondary_address: Option<String>,
    timezone: String,
    comm_key: Option<String>,
    transport: String,
    encoding: String,
    group_id: i64,
    office: Option<String>,
    enabled: bool,
    serial_number: Option<String>,
    mac: Option<String>,
    firmware: Option<String>,
    platform: Option<String>,
    model: Option<String>,
    created_at: i64,
    updated_at: i64,
    last_sync: Option<i64>,
    last_attempt: Option<i64>,
    last_error: Option<String>,
    complete_until: Option<i64>,
    log_capacity: Option<i64>,
    clock_drift_s: Option<i64>,
});

entity!(cursor, "cursor", {
    #[sea_orm(primary_key, auto_increment = false)] device_id: i64,
    log_generation: i64,
    records: i64,
    layout: String,
    header: i32,
    tail: Vec<u8>,
    tail_checked_at: i64,
    full_read_at: i64,
    slices: bool,
    counters_trusted: bool,
    users: i64,
});

entity!(punch, "punch", {
    #[sea_orm(primary_key)] id: i64,
    device_id: i64,
    user_id: String,
    told: i64,
    punch_state: i32,
    verify_mode: i32,
    work_code: i64,
    uid: Option<i32>,
    source: String,
    received_at: i64,
    log_generation: Option<i64>,
    log_index: Option<i64>,
    repeats: i32,
    repeat_differs: bool,
});

entity!(correction, "correction", {
    #[sea_orm(primary_key)] id: i64,
    kind: String,
    target: Option<String>,
    employee: Option<String>,
    told: Option<i64>,
    state: Option<i32>,
    value: Option<String>,
    by: String,
    at: i64,
    reason: String,
});

entity!(employee, "employee", {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    name: Option<String>,
    department: Option<String>,
    designation: Option<String>,
    office: Option<String>,
    active_from: Option<String>,
    active_to: Option<String>,
    mapped: bool,
});

entity!(device_user, "device_user", {
    #[sea_orm(primary_key, auto_increment = false)] device_id: i64,
    #[sea_orm(primary_key, auto_increment = false)] user_id: String,
    uid: i32,
    name: String,
    privilege: i32,
    card: i64,
    group: String,
    seen_at: i64,
});

entity!(identity, "identity", {
    #[sea_orm(primary_key)] id: i64,
    device_id: i64,
    user_id: String,
    employee: String,
    created_at: i64,
    note: Option<String>,
});

entity!(shift_template, "shift_template", {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    definition: String,
});

entity!(roster_assignment, "roster_assignment", {
    #[sea_orm(primary_key)] id: i64,
    employee: String,
    from: String,
    to: Option<String>,
    anchor: Option<String>,
    pattern: String,
});

entity!(roster_override, "roster_override", {
    #[sea_orm(primary_key, auto_increment = false)] employee: String,
    #[sea_orm(primary_key, auto_increment = false)] date: String,
    shifts: String,
});

entity!(holiday, "holiday", {
    #[sea_orm(primary_key)] id: i64,
    date: String,
    employee: Option<String>,
    name: Option<String>,
});

entity!(dirty_day, "dirty_day", {
    #[sea_orm(primary_key, auto_increment = false)] employee: String,
    #[sea_orm(primary_key, auto_increment = false)] date: String,
    mark: i64,
});

entity!(daily_record, "daily_record", {
    #[sea_orm(primary_key, auto_increment = false)] record_id: String,
    employee: String,
    date: String,
    shift: Option<String>,
    slot: String,
    ordinal: i32,
    status: String,
    is_final: bool,
    settles_at: Option<i64>,
    device: Option<String>,
    content: String,
    updated_at: i64,
});

entity!(target, "target", {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    fingerprint: String,
    paused_reason: Option<String>,
    paused_until: Option<i64>,
    pauses: i32,
    last_success: Option<i64>,
    kind: Option<String>,
    certificate_ends: Option<i64>,
    unanswered: i32,
});

entity!(entry, "entry", {
    #[sea_orm(primary_key, auto_increment = false)] target: String,
    #[sea_orm(primary_key, auto_increment = false)] entry_id: String,
    date: String,
    revision: i64,
    content_hash: String,
    deleted: bool,
    remote_id: Option<String>,
    employee: String,
});

entity!(outbox, "outbox", {
    #[sea_orm(primary_key)] id: i64,
    target: String,
    entry_id: String,
    revision: i64,
    employee: String,
    date: String,
    deleted: bool,
    content: String,
    key: String,
    state: String,
    attempts: i32,
    due_at: i64,
    last_attempt: Option<i64>,
    last_error: Option<String>,
    queued_at: i64,
    settled_at: Option<i64>,
});

entity!(alarm, "alarm", {
    #[sea_orm(primary_key, auto_increment = false)] name: String,
    kind: String,
    subject: String,
    detail: String,
    opened_at: i64,
    closed_at: Option<i64>,
    mailed_at: Option<i64>,
    posted_at: Option<i64>,
});

entity!(notice, "notice", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    employee: String,
    date: String,
    detail: String,
    created_at: i64,
    mailed_at: Option<i64>,
});

entity!(lease, "lease", {
    #[sea_orm(primary_key, auto_increment = false)] name: String,
    holder: String,
    token: i64,
    expires_at: i64,
    since: i64,
});

entity!(schedule, "schedule", {
    #[sea_orm(primary_key, auto_increment = false)] name: String,
    cron: String,
    zone: String,
    enabled: bool,
    next_due: i64,
    configured: String,
    wakes: i64,
});

entity!(due_device, "due_device", {
    #[sea_orm(primary_key, auto_increment = false)] device_id: i64,
    due_at: Option<i64>,
    failures: i32,
});

entity!(due_target, "due_target", {
    #[sea_orm(primary_key, auto_increment = false)] target: String,
    due_at: Option<i64>,
    wakes: i64,
});

entity!(node, "node", {
    #[sea_orm(primary_key, auto_increment = false)] name: String,
    role: String,
    url: Option<String>,
    pid: i64,
    started_at: i64,
    seen_at: i64,
});

entity!(run, "run", {
    #[sea_orm(primary_key)] id: i64,
    job: String,
    node: String,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    report: Option<String>,
});

entity!(account, "account", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    role: String,
    password_hash: String,
    created_at: i64,
});

entity!(api_token, "api_token", {
    #[sea_orm(primary_key)] id: i64,
    name: String,
    role: String,
    token_hash: String,
    created_at: i64,
});

entity!(login_link, "login_link", {
    #[sea_orm(primary_key, auto_increment = false)] token_hash: String,
    account_id: i64,
    expires_at: i64,
});

entity!(web_session, "web_session", {
    #[sea_orm(primary_key, auto_increment = false)] id: String,
    data: String,
    expires_at: i64,
});

entity!(audit, "audit", {
    #[sea_orm(primary_key)] id: i64,
    at: i64,
    by: String,
    action: String,
    subject: String,
    detail: Option<String>,
});

//! Delivery to several targets, watermarks, alarms and notices.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, string, string_null, text,
};

use super::table;

pub(super) struct Delivery;

impl MigrationName for Delivery {
    fn name(&self) -> &'static str {
        "m0002_delivery"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Delivery {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            let mut change = Table::alter();
            manager
                .alter_table(change.table(Alias::new(table)).add_column(column).take())
                .await?;
        }
        let db = manager.get_connection();
        for statement in FILL {
            db.execute_unprepared(statement).await?;
        }
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
        let mut old = Index::drop();
        old.name("outbox_queue").table(Alias::new("outbox"));
        manager.drop_index(old).await
    }
}

fn columns() -> Vec<(&'static str, ColumnDef)> {
    vec![
        // Whose the entry is: what vanished is looked for among the entries of one person.
        ("entry", string("employee").default("").take()),
        // What the target is told: day, punch or session. It never changes.
        ("target", string_null("kind").take()),
        // When the target's certificate ends, as far as it was seen.
        ("target", big_integer_null("certificate_ends").take()),
        // Start of the last complete reading: whatever happened at the terminal before is here.
        ("device", big_integer_null("complete_until").take()),
        // Records the terminal's log can hold.
        ("device", big_integer_null("log_capacity").take()),
        // How far the terminal's clock was ahead of ours when last asked, in seconds.
        ("device", big_integer_null("clock_drift_s").take()),
    ]
}

/// What older rows would have had.
const FILL: &[&str] = &[
    "UPDATE entry SET employee = COALESCE((SELECT outbox.employee FROM outbox WHERE outbox.target = entry.target \
     AND outbox.entry_id = entry.entry_id AND outbox.revision = entry.revision), '')",
    "UPDATE target SET kind = 'day'",
    "UPDATE device SET complete_until = last_sync",
];

fn tables() -> Vec<TableCreateStatement> {
    vec![
        // One row per thing that can go wrong; it stays when it is over, so that it can open again.
        table("alarm")
            // Kind and subject, such as `device_silent:Gate 2`.
            .col(string("name").primary_key())
            .col(string("kind"))
            .col(string("subject"))
            .col(text("detail"))
            .col(big_integer("opened_at"))
            // None while it lasts.
            .col(big_integer_null("closed_at"))
            // The opening or closing that was last told, by mail and by webhook.
            .col(big_integer_null("mailed_at"))
            .col(big_integer_null("posted_at"))
            .take(),
        // What is told once, in the next digest.
        table("notice")
            .col(big_pk_auto("id"))
            // The record and the reason: a notice that was made is never made again.
            .col(string("name"))
            .col(string("employee"))
            .col(string("date"))
            .col(text("detail"))
            .col(big_integer("created_at"))
            .col(big_integer_null("mailed_at"))
            .take(),
    ]
}

const INDEXES: &[(&str, &str, &[&str], bool)] = &[
    (
        "entry_person",
        "entry",
        &["target", "employee", "date"],
        false,
    ),
    // The next rows to be sent, in the order of the queue.
    ("outbox_next", "outbox", &["target", "state", "id"], false),
    // Whom a user id of any terminal stands for.
    ("identity_user", "identity", &["user_id"], false),
    // Who has no name yet.
    ("employee_name", "employee", &["name"], false),
    ("notice_name", "notice", &["name"], true),
    ("notice_mailed", "notice", &["mailed_at"], false),
];

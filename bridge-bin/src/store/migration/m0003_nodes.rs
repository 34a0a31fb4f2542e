//! Many nodes on one store: terminals that are due, schedules changed at run time, and who is running.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, integer, string, string_null, text,
};

use super::table;

pub(super) struct Nodes;

impl MigrationName for Nodes {
    fn name(&self) -> &'static str {
        "m0003_nodes"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Nodes {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The work list of whoever reads terminals. A row that is due is claimed by taking the terminal's lease.
        let due_device = table("due_device")
            .col(big_integer("device_id").primary_key())
            // None: not due until the schedule says so.
            .col(big_integer_null("due_at"))
            // Failures since the last success; each doubles the wait.
            .col(integer("failures"))
            .take();
        manager.create_table(due_device).await?;
        let index = Index::create()
            .name("due_device_due")
            .table(Alias::new("due_device"))
            .col(Alias::new("due_at"))
            .take();
        manager.create_index(index).await?;
        // The same for targets: what waits for one stands in the outbox, whether somebody should look stands here.
        let due_target = table("due_target")
            .col(string("target").primary_key())
            .col(big_integer_null("due_at"))
            // As in `schedule`.
            .col(big_integer("wakes"))
            .take();
        manager.create_table(due_target).await?;
        let node = table("node")
            .col(string("name").primary_key())
            // all, web or worker
            .col(string("role"))
            // Where its pages answer; none for a worker.
            .col(string_null("url"))
            .col(big_integer("pid"))
            .col(big_integer("started_at"))
            .col(big_integer("seen_at"))
            .take();
        manager.create_table(node).await?;
        // One column a statement: SQLite takes no more.
        for column in [
            // Cron text and zone as a configuration last gave them; only a change of these overrules a person.
            text("configured").default("").take(),
            // Grows whenever work is called for, so that what comes during a run is not taken for done.
            big_integer("wakes").default(0).take(),
        ] {
            let schedule = Table::alter()
                .table(Alias::new("schedule"))
                .add_column(column)
                .take();
            manager.alter_table(schedule).await?;
        }
        // Since when the lease has this token, in Unix milliseconds.
        let lease = Table::alter()
            .table(Alias::new("lease"))
            .add_column(big_integer("since").default(0).take())
            .take();
        manager.alter_table(lease).await?;
        manager
            .get_connection()
            .execute_unprepared(
                "INSERT INTO due_device (device_id, due_at, failures) SELECT id, 0, 0 FROM device",
            )
            .await?;
        Ok(())
    }
}

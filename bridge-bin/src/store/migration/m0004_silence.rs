//! Silence of a target, counted over deliveries and nodes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::integer;

pub(super) struct Silence;

impl MigrationName for Silence {
    fn name(&self) -> &'static str {
        "m0004_silence"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Silence {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Pushes in a row that nobody answered.
        let target = Table::alter()
            .table(Alias::new("target"))
            .add_column(integer("unanswered").default(0).take())
            .take();
        manager.alter_table(target).await
    }
}

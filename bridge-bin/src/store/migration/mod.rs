//! The schema, one migration per step, only ever forwards.
//!
//! Portable on purpose: text, integers and booleans alone, instants as Unix seconds, dates as `YYYY-MM-DD`,
//! structured values as JSON text. The same statements make the `SQLite` and the `PostgreSQL` schema.

mod m0001_first;
mod m0002_delivery;
mod m0003_nodes;
mod m0004_silence;

use sea_orm_migration::prelude::*;

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_first::First),
            Box::new(m0002_delivery::Delivery),
            Box::new(m0003_nodes::Nodes),
            Box::new(m0004_silence::Silence),
        ]
    }
}

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(Alias::new(name)).take()
}

fn pk(columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    for column in columns {
        index.col(Alias::new(*column));
    }
    index.primary().take()
}

//! Whole databases, copied row by row between any two and read back to compare. `store move`, `backup` and `restore`
//! differ only in what they do around it.

use std::collections::BTreeMap;

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DbBackend, DbErr, QueryResult, Statement, Value,
};
use sea_orm_migration::MigratorTrait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::migration::Migrator;
use crate::failure::Failure;
use crate::secret;

/// Rows and values held at a time; `SQLite` takes 32,766 values in a statement.
const MOST_ROWS: usize = 1_000;
const MOST_VALUES: usize = 30_000;

/// Told of rows copied and rows in all.
pub type OnProgress<'a> = &'a (dyn Fn(u64, u64) + Send + Sync);

/// A table that was copied, and found equal on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Hex SHA-256 over all of them in the order of their key.
    pub sha256: String,
}

/// A table of the schema.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: String,
    columns: Vec<(String, Kind)>,
    /// Positions of the primary key's columns, in its order.
    key: Vec<usize>,
    /// Whether `id` is counted by the database.
    counted: bool,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Integer,
    Bool,
    Real,
    Bytes,
}

#[derive(Debug, Clone)]
enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Bool(bool),
    Real(f64),
    Bytes(Vec<u8>),
}

/// The tables as the migrations make them, which is how they are in every open database.
pub(super) async fn tables() -> Result<Vec<Table>, DbErr> {
    let mut options = ConnectOptions::new("sqlite::memory:");
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await?;
    Migrator::up(&db, None).await?;
    let rows = db
        .query_all_raw(Statement::from_string(
            DbBackend::Sqlite,
            "SELECT master.name AS \"table\", master.sql, info.name AS \"column\", info.type, info.pk \
             FROM sqlite_master AS master JOIN pragma_table_info(master.name) AS info \
             WHERE master.type = 'table' AND master.name NOT LIKE 'sqlite_%' AND master.name <> 'seaql_migrations' \
             ORDER BY master.name, info.cid",
        ))
        .await?;
    let mut tables: BTreeMap<String, (Table, BTreeMap<i64, usize>)> = BTreeMap::new();
    for row in rows {
        let name: String = row.try_get("", "table")?;
        let sql: String = row.try_get("", "sql")?;
        let declared: String = row.try_get("", "type")?;
        let place: i64 = row.try_get("", "pk")?;
        let (table, key) = tables.entry(name.clone()).or_insert_with(|| {
            let table = Table {
                name,
                columns: Vec::new(),
                key: Vec::new(),
                counted: sql.to_ascii_uppercase().contains("AUTOINCREMENT"),
            };
            (table, BTreeMap::new())
        });
        if place > 0 {
            key.insert(place, table.columns.len());
        }
        table
            .columns
            .push((row.try_get("", "column")?, Kind::of(&declared)?));
    }
    db.close().await?;
    Ok(tables
        .into_values()
        .map(|(table, key)| Table {
            key: key.into_values().collect(),
            ..table
        })
        .collect())
}

/// Copies every row of every table, and reads the copy back. Both must be transactions, and the target empty.
pub(super) async fn copy(
    source: &impl ConnectionTrait,
    target: &impl ConnectionTrait,
    tables: &[Table],
    on_progress: OnProgress<'_>,
) -> anyhow::Result<Vec<Copied>> {
    let mut total = 0;
    for table in tables {
        total += table.count(source).await?;
    }
    let mut done = 0;
    on_progress(done, total);
    let mut copied = Vec::with_capacity(tables.len());
    for table in tables {
        let mut sum = Sum::default();
        let mut last = None;
        while let Some(page) = table.page(source, last.as_ref()).await? {
            sum.add(&page);
            table.insert(target, &page).await?;
            done += page.len() as u64;
            on_progress(done, total);
            last = page.into_iter().next_back();
        }
        let (expected, found) = (table.told(sum), table.read_through(target).await?);
        if expected != found {
            return Err(Failure::new(
                "copy_differs",
                format!(
                    "The copy of the table {} differs: {} rows were read and {} arrived.",
                    table.name, expected.rows, found.rows
                ),
                "Nothing was kept. Run it again; if it repeats, the disk of one side is at fault.",
            )
            .into());
        }
        copied.push(expected);
    }
    for table in tables.iter().filter(|table| table.counted) {
        let highest = table
            .counter(source)
            .await?
            .max(table.counter(target).await?);
        table.set_counter(target, highest).await?;
    }
    Ok(copied)
}

impl Kind {
    fn of(declared: &str) -> Result<Self, DbErr> {
        let word = declared.to_ascii_lowercase();
        Ok(match word.split('(').next().unwrap_or_default() {
            "varchar" | "text" => Self::Text,
            "integer" | "bigint" | "smallint" => Self::Integer,
            "boolean" => Self::Bool,
            "real" | "double" | "float" => Self::Real,
            "blob" | "varbinary" | "binary" => Self::Bytes,
            _ => return Err(DbErr::Type(format!("a column of type {declared}"))),
        })
    }

    fn read(self, row: &QueryResult, column: &str) -> Result<Cell, DbErr> {
        fn cell<T>(value: Option<T>, make: impl FnOnce(T) -> Cell) -> Cell {
            value.map_or(Cell::Null, make)
        }
        Ok(match self {
            Self::Text => cell(row.try_get("", column)?, Cell::Text),
            Self::Integer => cell(row.try_get("", column)?, Cell::Integer),
            Self::Bool => cell(row.try_get("", column)?, Cell::Bool),
            Self::Real => cell(row.try_get("", column)?, Cell::Real),
            Self::Bytes => cell(row.try_get("", column)?, Cell::Bytes),
        })
    }

    fn value(self, cell: &Cell) -> Value {
        match cell {
            Cell::Text(text) => text.as_str().into(),
            Cell::Integer(number) => (*number).into(),
            Cell::Bool(flag) => (*flag).into(),
            Cell::Real(number) => (*number).into(),
            Cell::Bytes(bytes) => bytes.clone().into(),
            // Even nothing has a type.
            Cell::Null => match self {
                Self::Text => None::<String>.into(),
                Self::Integer => None::<i64>.into(),
                Self::Bool => None::<bool>.into(),
                Self::Real => None::<f64>.into(),
                Self::Bytes => None::<Vec<u8>>.into(),
            },
        }
    }
}

type Row = Vec<Cell>;

impl Table {
    /// How many rows it has.
    pub(super) async fn count(&self, db: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let sql = format!("SELECT COUNT(*) AS \"count\" FROM {}", quoted(&self.name));
        let row = db
            .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
            .await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "count"))?;
        Ok(count.unsigned_abs())
    }

    /// What is in it.
    pub(super) async fn read_through(&self, db: &impl ConnectionTrait) -> Result<Copied, DbErr> {
        let (mut sum, mut last) = (Sum::default(), None);
        while let Some(page) = self.page(db, last.as_ref()).await? {
            sum.add(&page);
            last = page.into_iter().next_back();
        }
        Ok(self.told(sum))
    }

    fn told(&self, sum: Sum) -> Copied {
        Copied {
            table: self.name.clone(),
            rows: sum.rows,
            sha256: secret::hex(&sum.hash.finalize()),
        }
    }

    /// Takes all rows away.
    pub(super) async fn clear(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        db.execute_unprepared(&format!("DELETE FROM {}", quoted(&self.name)))
            .await?;
        Ok(())
    }

    /// The rows behind `last` in the order of the key; `None` if there is none.
    async fn page(
        &self,
        db: &impl ConnectionTrait,
        last: Option<&Row>,
    ) -> Result<Option<Vec<Row>>, DbErr> {
        let postgres = db.get_database_backend() == DbBackend::Postgres;
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|(name, kind)| match kind {
                // There integers have two sizes, here one.
                Kind::Integer if postgres => {
                    format!("CAST({0} AS BIGINT) AS {0}", quoted(name))
                }
                _ => quoted(name),
            })
            .collect();
        let key: Vec<String> = self
            .key
            .iter()
            .filter_map(|at| Some(quoted(&self.columns.get(*at)?.0)))
            .collect();
        let key = key.join(", ");
        let mut values = Vec::new();
        let behind = last.map_or_else(String::new, |last| {
            let marks = self.key.iter().filter_map(|at| {
                values.push(self.columns.get(*at)?.1.value(last.get(*at)?));
                Some(placeholder(postgres, values.len()))
            });
            let marks: Vec<String> = marks.collect();
            format!("WHERE ({key}) > ({})", marks.join(", "))
        });
        let sql = format!(
            "SELECT {} FROM {} {behind} ORDER BY {key} LIMIT {}",
            columns.join(", "),
            quoted(&self.name),
            self.page_size()
        );
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        let page: Vec<Row> = db
            .query_all_raw(statement)
            .await?
            .iter()
            .map(|row| {
                self.columns
                    .iter()
                    .map(|(name, kind)| kind.read(row, name))
                    .collect()
            })
            .collect::<Result<_, DbErr>>()?;
        Ok((!page.is_empty()).then_some(page))
    }

    fn page_size(&self) -> usize {
        MOST_ROWS.min(MOST_VALUES / self.columns.len().max(1))
    }

    async fn insert(&self, db: &impl ConnectionTrait, rows: &[Row]) -> Result<(), DbErr> {
        let postgres = db.get_database_backend() == DbBackend::Postgres;
        let names: Vec<String> = self.columns.iter().map(|(name, _)| quoted(name)).collect();
        let mut values = Vec::with_capacity(rows.len() * names.len());
        let mut tuples = Vec::with_capacity(rows.len());
        for row in rows {
            let marks: Vec<String> = self
                .columns
                .iter()
                .zip(row)
                .map(|((_, kind), cell)| {
                    values.push(kind.value(cell));
                    placeholder(postgres, values.len())
                })
                .collect();
            tuples.push(format!("({})", marks.join(",")));
        }
        let sql = format!(
            "INSERT INTO {} ({}) VALUES {}",
            quoted(&self.name),
            names.join(", "),
            tuples.join(",")
        );
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        db.execute_raw(statement).await?;
        Ok(())
    }

    /// The highest id that was ever given; it is not given again.
    async fn counter(&self, db: &impl ConnectionTrait) -> Result<i64, DbErr> {
        let table = quoted(&self.name);
        let sql = match db.get_database_backend() {
            DbBackend::Postgres => {
                let sequence = self.sequence(db).await?;
                format!(
                    "SELECT GREATEST((SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}), \
                     (SELECT COALESCE(MAX(id), 0) FROM {table})) AS highest"
                )
            }
            _ => format!(
                "SELECT MAX((SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = '{}'), \
                 (SELECT COALESCE(MAX(id), 0) FROM {table})) AS highest",
                self.name
            ),
        };
        let row = db
            .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
            .await?;
        row.map_or(Ok(0), |row| row.try_get("", "highest"))
    }

    async fn set_counter(&self, db: &impl ConnectionTrait, highest: i64) -> Result<(), DbErr> {
        let sql = match db.get_database_backend() {
            DbBackend::Postgres => format!(
                "SELECT setval('{}', {}, {})",
                self.sequence(db).await?,
                highest.max(1),
                highest > 0
            ),
            _ => format!(
                "DELETE FROM sqlite_sequence WHERE name = '{0}'; \
                 INSERT INTO sqlite_sequence (name, seq) VALUES ('{0}', {highest})",
                self.name
            ),
        };
        db.execute_unprepared(&sql).await?;
        Ok(())
    }

    async fn sequence(&self, db: &impl ConnectionTrait) -> Result<String, DbErr> {
        let sql = format!(
            "SELECT pg_get_serial_sequence('{}', 'id') AS name",
            quoted(&self.name)
        );
        let row = db
            .query_one_raw(Statement::from_string(db.get_database_backend(), sql))
            .await?;
        row.map_or(Ok(String::new()), |row| row.try_get("", "name"))
    }
}

/// Our own names need no more than this.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn placeholder(numbered: bool, number: usize) -> String {
    if numbered {
        format!("${number}")
    } else {
        "?".to_owned()
    }
}

/// Count and hash of the rows seen so far.
#[derive(Default)]
struct Sum {
    rows: u64,
    hash: Sha256,
}

impl Sum {
    fn add(&mut self, rows: &[Row]) {
        self.rows += rows.len() as u64;
        for cell in rows.iter().flatten() {
            let number;
            let (tag, bytes): (u8, &[u8]) = match cell {
                Cell::Null => (0, &[]),
                Cell::Text(text) => (1, text.as_bytes()),
                Cell::Integer(value) => {
                    number = value.to_be_bytes();
                    (2, &number)
                }
                Cell::Bool(value) => (3, if *value { &[1] } else { &[0] }),
                Cell::Real(value) => {
                    number = value.to_be_bytes();
                    (4, &number)
                }
                Cell::Bytes(bytes) => (5, bytes),
            };
            self.hash.update([tag]);
            self.hash.update((bytes.len() as u64).to_be_bytes());
            self.hash.update(bytes);
        }
    }
}

//! `backup`, `restore` and `store move`: one routine copies, and nobody else writes where that would tear something.

use std::fs;
use std::path::{Path, PathBuf};

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    AccessMode, ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend,
    DbErr, EntityTrait, IsolationLevel, QueryFilter, QueryOrder, QuerySelect, TransactionTrait,
};
use serde::{Deserialize, Serialize};

use super::copy::{self, Table};
pub use super::copy::{Copied, OnProgress};
use super::entity::{entry, lease, login_link, meta, outbox, web_session};
use super::outbox::is_closed;
use super::queue::{self, Change};
use super::{
    Location, Store, Transaction, begin_raw, due, postgres, refuse_moved, set_meta, sqlite,
};
use crate::failure::Failure;
use crate::secret;

/// Where a backup says of itself what it is, among what the database remembers.
const LABEL: &str = "backup";

#[derive(Debug, Serialize, Deserialize)]
struct Label {
    /// Version of zk-bridge.
    version: String,
    /// Unix seconds.
    made_at: i64,
    /// The key of the data directory, if it was asked for.
    key: Option<String>,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// When the backup was made, Unix seconds.
    pub made_at: i64,
    /// The version of zk-bridge that made it.
    pub version: String,
    /// What was in it.
    pub tables: Vec<Copied>,
    /// Entries that are sent once more.
    pub queued: u64,
    /// The first revision of whatever is sent from now on.
    pub revision_floor: i64,
    /// Whether the backup held the key, and it is in place now.
    pub key: bool,
}

impl Store {
    /// Copies everything to an empty database elsewhere, and lets nobody write here any more, running nodes included.
    ///
    /// All or nothing: until the end everybody else waits to write, and a failure leaves the target without content.
    pub async fn move_to(
        &self,
        target: Location,
        on_progress: OnProgress<'_>,
    ) -> anyhow::Result<Vec<Copied>> {
        let shown = target.to_string();
        if shown == self.location.to_string() {
            return Err(Failure::new(
                "same_place",
                format!("The data is in {shown} already."),
                "Name another database.",
            )
            .into());
        }
        let target = Self::open_any(target).await?;
        let tables = copy::tables().await?;
        let from = self.begin_closed().await?;
        refuse_moved(&from).await?;
        let to = target.begin_closed().await?;
        refuse_content(
            &to,
            &tables,
            &shown,
            "Name an empty database, or move what is there out of the way.",
        )
        .await?;
        meta::Entity::delete_many().exec(&to).await?;
        let copied = copy::copy(&from, &to, &tables, on_progress).await?;
        to.commit().await?;
        set_meta(&from, "moved_to", &shown).await?;
        from.commit().await?;
        Ok(copied)
    }

    /// Writes everything as of one moment into `file`, readable for its owner alone; writers go on meanwhile.
    ///
    /// `key` is the key of the data directory, if it shall be in it. A file that exists is refused unless `replace`.
    pub async fn backup(
        &self,
        file: &Path,
        key: Option<String>,
        replace: bool,
        now: i64,
        on_progress: OnProgress<'_>,
    ) -> anyhow::Result<Vec<Copied>> {
        let unwritable = |error: &dyn std::fmt::Display| {
            Failure::new(
                "backup",
                format!("The backup {} cannot be written: {error}.", file.display()),
                "Name a file in a directory that exists, has room, and that you may write to.",
            )
        };
        if !replace && file.exists() {
            return Err(Failure::new(
                "file_exists",
                format!("{} exists already.", file.display()),
                "Choose another name, or add --force to replace it.",
            )
            .into());
        }
        let made = Unfinished::beside(file).map_err(|error| unwritable(&error))?;
        let tables = copy::tables().await?;
        let snapshot = self.snapshot().await?;
        let target = sqlite::create(&made.0)
            .await
            .map_err(|error| unwritable(&error))?;
        let to = target.begin().await?;
        let copied = copy::copy(&snapshot, &to, &tables, on_progress).await?;
        let label = Label {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: now,
            key,
        };
        set_meta(&to, LABEL, &serde_json::to_string(&label)?).await?;
        to.commit().await.map_err(|error| unwritable(&error))?;
        target.close().await?;
        snapshot.commit().await?;
        made.finish(file, replace)
            .map_err(|error| unwritable(&error))?;
        Ok(copied)
    }

    /// Puts a backup in the place of what is at `location`, and makes everything it knows be sent once more.
    ///
    /// A database that holds anything is refused unless `replace`. Nodes that run meanwhile lose their leases, so that
    /// nothing of what they were doing is written into the restored data.
    pub async fn restore(
        location: Location,
        file: &Path,
        data_dir: &Path,
        replace: bool,
        now: i64,
        on_progress: OnProgress<'_>,
    ) -> anyhow::Result<Restored> {
        let unreadable = |why: &dyn std::fmt::Display| {
            Failure::new(
                "not_a_backup",
                format!("{} cannot be restored: {why}.", file.display()),
                "Name a file that `zk-bridge backup` wrote.",
            )
        };
        super::prepare_directory(data_dir)?;
        // A copy, because an older schema is brought up to date first.
        let work = Unfinished::beside(&data_dir.join("restore"))?;
        fs::copy(file, &work.0).map_err(|error| unreadable(&error))?;
        let source = sqlite::open_copy(&work.0).await.map_err(|error| {
            let failure = Failure::of(&error);
            if failure.kind == "newer_schema" {
                failure
            } else {
                unreadable(&failure.message.trim_end_matches('.'))
            }
        })?;
        let from = source.begin().await?;
        let label = meta::Entity::find_by_id(LABEL)
            .one(&from)
            .await?
            .and_then(|row| serde_json::from_str::<Label>(&row.value).ok())
            .ok_or_else(|| unreadable(&"it is a database, but no backup"))?;

        let store = Self::open_any(location).await?;
        let tables = copy::tables().await?;
        let to = store.begin_closed().await?;
        if !replace {
            refuse_content(
                &to,
                &tables,
                &store.location.to_string(),
                "Restore into an empty place (--data-dir, database_url), or add --force to replace everything.",
            )
            .await?;
        }
        let leases = lease::Entity::find().all(&to).await?;
        let mut floor = now.max(highest(&to).await? + 1);
        for table in &tables {
            table.clear(&to).await?;
        }
        let copied = copy::copy(&from, &to, &tables, on_progress).await?;
        floor = floor.max(highest(&to).await? + 1);
        void_leases(&to, leases).await?;
        // Whoever logged out since the backup stays so.
        web_session::Entity::delete_many().exec(&to).await?;
        login_link::Entity::delete_many().exec(&to).await?;
        meta::Entity::delete_by_id(LABEL).exec(&to).await?;
        meta::Entity::delete_by_id("moved_to").exec(&to).await?;
        set_meta(&to, "revision_floor", &floor.to_string()).await?;
        let queued = queue_everything_again(&to, floor, now).await?;
        // Until the data is there, the key stays that it was written under.
        let key = label.key.as_deref();
        let key = key
            .map(|key| secret::Staged::write(data_dir, key))
            .transpose()?;
        to.commit().await?;
        if let Some(key) = key {
            key.put_in_place()?;
        }
        from.rollback().await?;
        source.close().await?;
        Ok(Restored {
            made_at: label.made_at,
            version: label.version,
            tables: copied,
            queued,
            revision_floor: floor,
            key: label.key.is_some(),
        })
    }

    /// Begins a transaction that keeps everybody else from writing, whatever they were about to write.
    async fn begin_closed(&self) -> Result<Transaction, DbErr> {
        let tx = begin_raw(&self.write).await?;
        if tx.get_database_backend() == DbBackend::Postgres {
            postgres::close_to_all(&tx).await?;
        }
        Ok(tx)
    }

    /// Everything as of one moment.
    async fn snapshot(&self) -> Result<DatabaseTransaction, DbErr> {
        if self.read.get_database_backend() == DbBackend::Postgres {
            let tx = self
                .read
                .begin_with_config(
                    Some(IsolationLevel::RepeatableRead),
                    Some(AccessMode::ReadOnly),
                )
                .await?;
            postgres::without_haste(&tx).await?;
            return Ok(tx);
        }
        // Under WAL a reader sees what was there at its first look.
        self.read.begin().await
    }
}

async fn refuse_content(
    db: &impl ConnectionTrait,
    tables: &[Table],
    place: &str,
    remedy: &str,
) -> anyhow::Result<()> {
    for table in tables.iter().filter(|table| table.name != "meta") {
        let rows = table.count(db).await?;
        if rows > 0 {
            return Err(Failure::new(
                "not_empty",
                format!(
                    "{place} is not empty: its table {:?} has rows: {rows}.",
                    table.name
                ),
                remedy,
            )
            .into());
        }
    }
    Ok(())
}

/// The highest revision that was ever given.
async fn highest(db: &impl ConnectionTrait) -> Result<i64, DbErr> {
    let entries: Option<Option<i64>> = entry::Entity::find()
        .select_only()
        .expr(entry::Column::Revision.max())
        .into_tuple()
        .one(db)
        .await?;
    let rows: Option<Option<i64>> = outbox::Entity::find()
        .select_only()
        .expr(outbox::Column::Revision.max())
        .into_tuple()
        .one(db)
        .await?;
    let floor = meta::Entity::find_by_id("revision_floor").one(db).await?;
    let floor = floor.and_then(|row| row.value.parse().ok()).unwrap_or(0);
    let given = entries.flatten().max(rows.flatten()).unwrap_or(0);
    Ok(given.max(floor))
}

/// Queues the latest revision of every entry once more, above all that was ever sent (design 6.3). Also what still
/// waits, because it may have been sent, and changed again, after the backup was made. What a human dismissed stays so.
async fn queue_everything_again(
    tx: &DatabaseTransaction,
    floor: i64,
    now: i64,
) -> Result<u64, DbErr> {
    let targets: Vec<String> = entry::Entity::find()
        .select_only()
        .column(entry::Column::Target)
        .distinct()
        .into_tuple()
        .all(tx)
        .await?;
    let mut queued = 0;
    for target in targets {
        let mut after = String::new();
        loop {
            let page = entry::Entity::find()
                .filter(entry::Column::Target.eq(&target))
                .filter(entry::Column::EntryId.gt(&after))
                .order_by_asc(entry::Column::EntryId)
                .limit(1_000)
                .all(tx)
                .await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.entry_id);
            let mut latest = queue::contents_of(tx, &target, &page).await?;
            let changes = page
                .iter()
                .filter_map(|entry| Some((latest.remove(&entry.entry_id)?, entry)))
                .filter(|(row, _)| !is_closed(row))
                .map(|(row, entry)| Change::again(row, entry))
                .collect::<Result<Vec<_>, _>>()?;
            queued += queue::push(tx, &target, changes, floor, now).await?;
        }
        due::call_for_target(tx, &target, now).await?;
    }
    Ok(queued)
}

/// Tokens only grow, also through a restore: what was granted `before` holds no more, and never will again.
async fn void_leases(db: &impl ConnectionTrait, before: Vec<lease::Model>) -> Result<(), DbErr> {
    lease::Entity::update_many()
        .col_expr(lease::Column::ExpiresAt, Expr::value(0_i64))
        .filter(lease::Column::ExpiresAt.ne(0))
        .exec(db)
        .await?;
    for row in before {
        let known = lease::Entity::find_by_id(&row.name).one(db).await?;
        let token = known.as_ref().map_or(0, |known| known.token).max(row.token) + 1;
        let change = lease::ActiveModel {
            name: Set(row.name),
            holder: Set(String::new()),
            token: Set(token),
            expires_at: Set(0),
            since: Set(0),
        };
        if known.is_some() {
            change.update(db).await?;
        } else {
            lease::Entity::insert(change)
                .exec_without_returning(db)
                .await?;
        }
    }
    Ok(())
}

/// A file under a name of its own, gone again unless it is finished.
struct Unfinished(PathBuf);

impl Unfinished {
    fn beside(file: &Path) -> std::io::Result<Self> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(format!(
            ".{}.unfinished",
            secret::hex(&secret::random::<4>())
        ));
        let path = file.with_file_name(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&path)?;
        Ok(Self(path))
    }

    fn finish(self, file: &Path, replace: bool) -> std::io::Result<()> {
        fs::File::open(&self.0)?.sync_all()?;
        if replace {
            fs::rename(&self.0, file)?;
        } else {
            // Unlike a rename this fails if somebody was faster.
            fs::hard_link(&self.0, file)?;
        }
        let dir = match file.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        fs::File::open(dir)?.sync_all()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for end in ["", "-journal", "-wal", "-shm"] {
            let mut name = self.0.clone().into_os_string();
            name.push(end);
            // Most of them never were.
            let _ = fs::remove_file(name);
        }
    }
}

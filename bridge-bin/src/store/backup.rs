//! `backup`, `restore` and `store move`: one routine copies, and nobody else writes where that would tear something.

use std::fs;
use std::path::{Path, PathBuf};

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::Expr;
use sea_orm::{
    AccessMode, ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseConnection, DbBackend,
    DbErr, EntityTrait, IsolationLevel, QueryFilter, QueryOrder, QuerySelect, TransactionOptions,
    TransactionTrait,
};
use sea_orm_migration::MigratorTrait as _;
use serde::{Deserialize, Serialize};

use super::copy::{self, Table};
pub use super::copy::{Copied, OnProgress};
use super::entity::{entry, lease, login_link, meta, outbox, web_session};
use super::migration::Migrator;
use super::outbox::is_closed;
use super::pool::LONG_PATIENCE;
use super::queue::{self, Change};
use super::{
    Location, MOVED_FROM, MOVED_TO, MOVING_TO, Store, Transaction, begin_raw, due, postgres,
    refuse_moved, set_meta, sqlite,
};
use crate::failpoint;
use crate::failure::Failure;
use crate::secret;

/// Where a backup says of itself what it is, among what the database remembers.
const LABEL: &str = "backup";

/// The key of a backup that was restored, until it is in its place: the name of the file.
const STAGED_KEY: &str = "staged_key";

#[derive(Debug, Serialize, Deserialize)]
struct Label {
    /// Version of zk-bridge.
    version: String,
    /// Unix seconds.
    made_at: i64,
    /// The key of the data directory, if it was asked for.
    key: Option<String>,
    /// The last migration that its tables have seen.
    #[serde(default)]
    schema: String,
    /// What was written of each table; of `meta` without the label.
    #[serde(default)]
    tables: Vec<Copied>,
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
    /// All or nothing: until the end everybody else waits to write, and a failure leaves the target without content. Two
    /// databases cannot commit as one, so what is under way is noted on both sides: where the process dies between the
    /// two, this one stays in use and says so, and another move takes the place of what arrived.
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
        let cut_off = Moving::of(&self.read).await?;
        // Whoever goes on where another move was cut off bears its token: what arrived there is known by it.
        let token = cut_off
            .as_ref()
            .filter(|cut_off| cut_off.to == shown)
            .map_or_else(
                || secret::hex(&secret::random::<16>()),
                |cut_off| cut_off.token.clone(),
            );
        let moving = Moving {
            to: shown,
            token,
            is_told: false,
        };
        let tx = self.begin().await?;
        moving.note(&tx).await?;
        tx.commit().await?;
        let moved = self
            .copy_to(&target, &moving, cut_off.as_ref(), on_progress)
            .await;
        target.close().await;
        if let Err(error) = &moved
            && Failure::of(error).kind != HALF_MOVED
        {
            // As it was before; what remains if this fails is told, and does no harm.
            let _ = match &cut_off {
                Some(cut_off) => cut_off.note(&self.write).await,
                None => meta::Entity::delete_by_id(MOVING_TO)
                    .exec(&self.write)
                    .await
                    .map(drop),
            };
        }
        moved
    }

    async fn copy_to(
        &self,
        target: &Self,
        moving: &Moving,
        cut_off: Option<&Moving>,
        on_progress: OnProgress<'_>,
    ) -> anyhow::Result<Vec<Copied>> {
        let tables = copy::tables().await?;
        let from = self.begin_closed().await?;
        refuse_moved(&from).await?;
        meta::Entity::delete_by_id(MOVING_TO).exec(&from).await?;
        let to = target.begin_closed().await?;
        let arrived = meta::Entity::find_by_id(MOVED_FROM).one(&to).await?;
        if arrived.is_some_and(|row| cut_off.is_some_and(|cut_off| cut_off.token == row.value)) {
            // Ours, complete, and never used.
            for table in &tables {
                table.clear(&to).await?;
            }
        }
        refuse_content(
            &to,
            &tables,
            &moving.to,
            "Name an empty database, or move what is there out of the way.",
        )
        .await?;
        meta::Entity::delete_many().exec(&to).await?;
        let copied = copy::copy(&from, &to, &tables, on_progress).await?;
        set_meta(&to, MOVED_FROM, &moving.token).await?;
        to.commit().await?;
        let half_moved = |error: DbErr| {
            Failure::new(
                HALF_MOVED,
                format!(
                    "The copy in {} is complete, but that could not be noted here: {error}.",
                    moving.to
                ),
                "This database is still the one in use. Run the same command again.",
            )
        };
        set_meta(&from, MOVED_TO, &moving.to)
            .await
            .map_err(half_moved)?;
        from.commit().await.map_err(half_moved)?;
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
        let target = sqlite::create(&made.path)
            .await
            .map_err(|error| unwritable(&error))?;
        let to = target.begin().await?;
        let copied = copy::copy(&snapshot, &to, &tables, on_progress).await?;
        let label = Label {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: now,
            key,
            schema: schema(),
            tables: copied.clone(),
        };
        set_meta(&to, LABEL, &serde_json::to_string(&label)?).await?;
        to.commit().await.map_err(|error| unwritable(&error))?;
        target.close().await?;
        snapshot.commit().await?;
        failpoint::pass("backup");
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
        super::prepare_directory(data_dir)?;
        // A copy, because an older schema is brought up to date first.
        let work = Unfinished::beside(&data_dir.join("restore"))?;
        let source = Source::open(file, &work.path).await?;
        let store = Self::open_any(location).await?;
        let restored = store
            .replace_by(&source, data_dir, replace, now, on_progress)
            .await;
        store.close().await;
        source.db.close().await?;
        restored
    }

    async fn replace_by(
        &self,
        source: &Source,
        data_dir: &Path,
        replace: bool,
        now: i64,
        on_progress: OnProgress<'_>,
    ) -> anyhow::Result<Restored> {
        let label = &source.label;
        let from = source.db.begin().await?;
        let tables = copy::tables().await?;
        let to = self.begin_closed().await?;
        if !replace {
            refuse_content(
                &to,
                &tables,
                &self.location.to_string(),
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
        for forgotten in [LABEL, MOVED_TO, MOVING_TO, MOVED_FROM] {
            meta::Entity::delete_by_id(forgotten).exec(&to).await?;
        }
        set_meta(&to, "revision_floor", &floor.to_string()).await?;
        let queued = queue_everything_again(&to, floor, now).await?;
        // Until the data is there, the key stays that it was written under. If the process dies before it is replaced, the
        // next one finds what is to be done.
        let key = label.key.as_deref();
        let key = key
            .map(|key| secret::Staged::write(data_dir, key))
            .transpose()?;
        if let Some(name) = key.as_ref().and_then(secret::Staged::name) {
            set_meta(&to, STAGED_KEY, name).await?;
        }
        if let Err(error) = to.commit().await {
            // It may have been done all the same: then the key must be found.
            if let Some(key) = key {
                key.leave();
            }
            return Err(error.into());
        }
        if let Some(key) = key {
            key.put_in_place()?;
            let tx = self.begin().await?;
            meta::Entity::delete_by_id(STAGED_KEY).exec(&tx).await?;
            tx.commit().await?;
        }
        from.rollback().await?;
        Ok(Restored {
            made_at: label.made_at,
            version: label.version.clone(),
            tables: copied,
            queued,
            revision_floor: floor,
            key: label.key.is_some(),
        })
    }

    /// Puts the key of a backup in its place whose restore died just before it would have done so. False if there is
    /// nothing to be done in this data directory.
    pub async fn finish_restore(&self, data_dir: &Path) -> anyhow::Result<bool> {
        let Some(name) = self.meta(STAGED_KEY).await? else {
            return Ok(false);
        };
        let found = secret::Staged::find(data_dir, &name)?;
        let is_here = found.is_some();
        if let Some(staged) = found {
            staged.put_in_place()?;
            let tx = self.begin().await?;
            meta::Entity::delete_by_id(STAGED_KEY).exec(&tx).await?;
            tx.commit().await?;
        }
        Ok(is_here)
    }

    /// Gives all connections back, and waits until they are closed: what comes next may need the file to itself.
    pub async fn close(self) {
        let Self {
            read,
            write,
            beside,
            ..
        } = self;
        for db in [read, write, beside] {
            // A server that does not answer is left to find out by itself.
            let _ = tokio::time::timeout(super::SOON, db.close()).await;
        }
    }

    /// Begins a transaction that keeps everybody else from writing, whatever they were about to write.
    async fn begin_closed(&self) -> Result<Transaction, DbErr> {
        let mut tx = begin_raw(&self.write).await?;
        tx.take_time(LONG_PATIENCE);
        if tx.get_database_backend() == DbBackend::Postgres {
            postgres::close_to_all(&tx).await?;
        }
        Ok(tx)
    }

    /// Everything as of one moment: under WAL a reader sees what was there at its first look.
    async fn snapshot(&self) -> Result<Transaction, DbErr> {
        let is_postgres = self.read.get_database_backend() == DbBackend::Postgres;
        let options = TransactionOptions {
            isolation_level: is_postgres.then_some(IsolationLevel::RepeatableRead),
            access_mode: is_postgres.then_some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        };
        let mut tx = self.read.begin(options).await?;
        tx.take_time(LONG_PATIENCE);
        if is_postgres {
            postgres::without_haste(&tx).await?;
        }
        Ok(tx)
    }
}

/// A move that was begun: where to, and what the copy there is known by.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Moving {
    pub(super) to: String,
    token: String,
    /// Somebody was told that it was cut off.
    pub(super) is_told: bool,
}

impl Moving {
    /// Notes it.
    pub(super) async fn note(&self, db: &impl ConnectionTrait) -> Result<(), DbErr> {
        let text = serde_json::to_string(self).map_err(|error| DbErr::Json(error.to_string()))?;
        set_meta(db, MOVING_TO, &text).await
    }

    /// The one that this database remembers.
    pub(super) async fn of(db: &impl ConnectionTrait) -> Result<Option<Self>, DbErr> {
        let row = meta::Entity::find_by_id(MOVING_TO).one(db).await?;
        Ok(row.and_then(|row| serde_json::from_str(&row.value).ok()))
    }
}

/// The kind of a move whose copy is complete, while the old database does not know it.
const HALF_MOVED: &str = "half_moved";

/// What a backup is read from.
struct Source {
    db: DatabaseConnection,
    label: Label,
}

impl Source {
    /// Opens the backup `file` as a copy at `work`, and reads it once from end to end: what is damaged is found before
    /// anything is touched.
    async fn open(file: &Path, work: &Path) -> anyhow::Result<Self> {
        let unreadable = |why: &dyn std::fmt::Display| {
            Failure::new(
                "not_a_backup",
                format!("{} cannot be restored: {why}.", file.display()),
                "Name a file that `zk-bridge backup` wrote.",
            )
        };
        fs::copy(file, work).map_err(|error| unreadable(&error))?;
        if !sqlite::is_database(work) {
            return Err(unreadable(&"it is no database").into());
        }
        sqlite::check(work)
            .await
            .map_err(|error| damaged(file, &error))?;
        let db = sqlite::open_copy(work).await.map_err(|error| {
            let failure = Failure::of(&error);
            match failure.kind {
                "newer_schema" => failure,
                Failure::DATABASE => damaged(file, &failure.message),
                _ => unreadable(&failure.message.trim_end_matches('.')),
            }
        })?;
        let label = meta::Entity::find_by_id(LABEL)
            .one(&db)
            .await
            .map_err(|error| damaged(file, &error))?
            .and_then(|row| serde_json::from_str::<Label>(&row.value).ok())
            .ok_or_else(|| unreadable(&"it is a database, but no backup"))?;
        let source = Self { db, label };
        if let Some(table) = source
            .altered()
            .await
            .map_err(|error| damaged(file, &error))?
        {
            let why = format!("its table {table} is not as it was written");
            return Err(damaged(file, &why).into());
        }
        Ok(source)
    }

    /// The first table that is not what was written, where the schema is still the same.
    async fn altered(&self) -> Result<Option<String>, DbErr> {
        if self.label.schema != schema() {
            return Ok(None);
        }
        for table in copy::tables().await? {
            let mut written = self.label.tables.iter();
            // The label was written after the rest of its table.
            if let Some(written) = written.find(|known| known.table == table.name)
                && table.name != "meta"
                && table.read_through(&self.db).await? != *written
            {
                return Ok(Some(table.name));
            }
        }
        Ok(None)
    }
}

fn damaged(file: &Path, why: &dyn std::fmt::Display) -> Failure {
    let why = why.to_string();
    Failure::new(
        "damaged_backup",
        format!(
            "The backup {} is damaged: {}.",
            file.display(),
            why.trim_end_matches('.')
        ),
        "Nothing was changed. Fetch the file once more from where it was kept, or restore an older backup.",
    )
}

/// The last migration that the tables of this version have seen.
fn schema() -> String {
    let last = Migrator::migrations().pop();
    last.map_or_else(String::new, |last| last.name().to_owned())
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
async fn queue_everything_again(tx: &Transaction, floor: i64, now: i64) -> Result<u64, DbErr> {
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

/// A file under a name of its own, gone again unless it is finished. It is locked as long as somebody works on it, so
/// that those which a killed process left are known, and swept.
struct Unfinished {
    path: PathBuf,
    _held: fs::File,
}

impl Unfinished {
    fn beside(file: &Path) -> std::io::Result<Self> {
        Self::sweep(file);
        loop {
            let mut name = file.file_name().unwrap_or_default().to_owned();
            name.push(format!(
                ".{}{UNFINISHED}",
                secret::hex(&secret::random::<4>())
            ));
            let path = file.with_file_name(name);
            let mut options = fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let held = options.open(&path)?;
            // Who sweeps at this very moment may have been quicker.
            let is_taken = matches!(held.try_lock(), Err(fs::TryLockError::WouldBlock));
            if !is_taken && path.exists() {
                return Ok(Self { path, _held: held });
            }
        }
    }

    /// Removes what was left unfinished of `file`. What cannot be removed does no harm.
    fn sweep(file: &Path) {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let Ok(entries) = fs::read_dir(directory_of(file)) else {
            return;
        };
        for entry in entries.flatten() {
            let found = entry.file_name();
            let Some(middle) = found
                .to_str()
                .and_then(|found| found.strip_prefix(&*name)?.strip_prefix('.'))
                .and_then(|found| found.strip_suffix(UNFINISHED))
            else {
                continue;
            };
            let is_ours = middle.len() == 8 && middle.chars().all(|c| c.is_ascii_hexdigit());
            if is_ours
                && let Ok(left) = fs::File::open(entry.path())
                && left.try_lock().is_ok()
            {
                remove(&entry.path());
            }
        }
    }

    fn finish(self, file: &Path, replace: bool) -> std::io::Result<()> {
        fs::File::open(&self.path)?.sync_all()?;
        if replace {
            fs::rename(&self.path, file)?;
        } else {
            // Unlike a rename this fails if somebody was faster.
            fs::hard_link(&self.path, file)?;
        }
        fs::File::open(directory_of(file))?.sync_all()
    }
}

const UNFINISHED: &str = ".unfinished";

fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes a database with all that lies beside it.
fn remove(path: &Path) {
    for end in ["", "-journal", "-wal", "-shm"] {
        let mut name = path.to_path_buf().into_os_string();
        name.push(end);
        // Most of them never were.
        let _ = fs::remove_file(name);
    }
}

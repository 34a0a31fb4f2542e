//! What the database says when it does not do as it is told, in words a person can act on.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

use crate::cause;
use crate::failure::Failure;

/// The failure behind a database error, if it is one of those that somebody can mend.
pub(super) fn failure(error: &DbErr) -> Option<Failure> {
    let (DbErr::Conn(RuntimeErr::SqlxError(inner))
    | DbErr::Exec(RuntimeErr::SqlxError(inner))
    | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return matches!(error, DbErr::ConnectionAcquire(_)).then(|| unreachable(BUSY));
    };
    match &**inner {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            of_code(&code, database.message())
        }
        sqlx::Error::Io(error) => Some(unreachable(&cause::beneath(error))),
        sqlx::Error::PoolTimedOut => Some(unreachable(BUSY)),
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Some(unreachable("the connection was closed"))
        }
        _ => None,
    }
}

/// By the code: that of `SQLite` is a number, whose lower byte tells the kind; that of `PostgreSQL` has five characters.
fn of_code(code: &str, message: &str) -> Option<Failure> {
    let sqlite = code
        .parse::<u32>()
        .ok()
        .filter(|_| code.len() < 5)
        .map(|code| code & 0xff);
    let kept = "What was stored before is kept, and the work goes on by itself";
    let (what, remedy) = match (sqlite, code) {
        (Some(13), _) | (_, "53100") => (
            "is full: it cannot grow any more",
            format!("Make room on its disk. {kept} from there."),
        ),
        (Some(8), _) | (_, "25006") => (
            "can only be read",
            format!("Make the database, its directory and its disk writable. {kept} then."),
        ),
        (Some(10 | 14), _) | (_, "58030") => (
            "met an error of its disk",
            format!("Look at the disk and the rights on the data directory. {kept} then."),
        ),
        (Some(5 | 6), _) => (
            "is busy with another process",
            format!("End whatever else writes to the database for so long. {kept} then."),
        ),
        (Some(11 | 26), _) => (
            "is damaged",
            "Restore the latest backup into a new data directory; keep the damaged file until that is done.".to_owned(),
        ),
        (None, "57P01" | "57P02" | "57P03" | "53300") => (
            "is not available at the moment",
            format!("Look at the PostgreSQL server. {kept} when it answers."),
        ),
        _ => return None,
    };
    Some(Failure::new(
        Failure::DATABASE,
        format!("The database {what} ({message})."),
        remedy,
    ))
}

const BUSY: &str = "no connection became free in time";

fn unreachable(why: &str) -> Failure {
    Failure::new(
        Failure::DATABASE,
        format!("The database does not answer: {why}."),
        "Look at the database server and the way to it; nothing is lost, and the work goes on when it answers.",
    )
}

#[cfg(test)]
mod tests {
    use super::of_code;

    #[test]
    fn each_database_has_its_own_numbers_for_the_same_trouble() {
        // 1032 is 8 with a further detail.
        for (codes, word) in [
            (["13", "53100"], "full"),
            (["1032", "25006"], "only be read"),
        ] {
            for code in codes {
                let failure = of_code(code, "as it says").unwrap();
                assert!(failure.message.contains(word), "{failure:?}");
                assert!(failure.message.contains("as it says"));
            }
        }
        assert_eq!(of_code("23505", "unique"), None);
        assert_eq!(of_code("1", "syntax"), None);
    }
}

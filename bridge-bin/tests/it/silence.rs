//! A database server whose machine vanishes without a word.

use std::time::Duration;

use bridge_bin::Failure;
use bridge_bin::store::{Kind, Location, Store};
use tokio::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::postgres;

/// What lies between us and the server, and can be cut so that neither end hears of it.
struct Cable {
    port: u16,
    is_cut: watch::Sender<bool>,
    _work: JoinSet<()>,
}

impl Cable {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().port();
        let (is_cut, cut) = watch::channel(false);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(carry(near, port, cut.clone()));
            }
        });
        Self {
            port: here,
            is_cut,
            _work: work,
        }
    }
}

async fn carry(mut near: TcpStream, port: u16, mut cut: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let cut = async { drop(cut.wait_for(|is_cut| *is_cut).await) };
    tokio::select! {
        _ = io::copy_bidirectional(&mut near, &mut far) => return,
        () = cut => {}
    }
    // Both ends stay open, and nothing passes any more.
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_database_that_falls_silent_is_not_waited_for_without_end() {
    let Some(url) = postgres::database().await else {
        return;
    };
    let (before, rest) = url.split_once("127.0.0.1:").unwrap();
    let (port, database) = rest.split_once('/').unwrap();
    let cable = Cable::to(port.parse().unwrap()).await;
    let through = format!("{before}127.0.0.1:{}/{database}", cable.port);
    let location = Location::Postgres(through.parse().unwrap());
    let mut store = Store::open(location, Kind::Bridge).await.unwrap();
    store.lose_patience(Duration::from_secs(2));
    store.set_meta("a", "b").await.unwrap();
    let begun = store.begin().await.unwrap();

    cable.is_cut.send_replace(true);
    let errors = [
        store.meta("a").await.unwrap_err(),
        store.set_meta("a", "c").await.unwrap_err(),
        store.begin().await.unwrap_err(),
        begun.commit().await.unwrap_err(),
    ];
    for error in errors {
        let failure = Failure::of(&error.into());
        assert_eq!(failure.kind, Failure::DATABASE, "{failure:?}");
        assert!(failure.message.contains("does not answer"), "{failure:?}");
    }
}
